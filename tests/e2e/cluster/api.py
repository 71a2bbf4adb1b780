"""A Kubernetes API client of the standard library only, for callers that would need too many kubectl processes."""

import json
import ssl
import tempfile
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

Body = dict[str, Any]


class Api:
    """kubeconfig: written by render_kubeconfig, with a client certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._url = cluster["server"]
        self._context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:  # ssl reads client certificates only from files
            pair.write(b64decode(user["client-key-data"]) + b64decode(user["client-certificate-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)

    def get(self, path: str) -> Body:
        return self._send("GET", path, None, "application/json")

    def create(self, path: str, body: Body) -> Body:
        return self._send("POST", path, body, "application/json")

    def patch(self, path: str, body: Body) -> Body:
        """Sends a JSON merge patch."""
        return self._send("PATCH", path, body, "application/merge-patch+json")

    def _send(self, method: str, path: str, body: Body | None, kind: str) -> Body:
        """Raises OSError, which includes urllib's errors, if the server refuses the request or does not respond."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": kind}, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30, context=self._context) as response:  # noqa: S310
            result: Body = json.load(response)
        return result
