"""Reads the configuration of the kubelet, from a file or from the kubelet's endpoint configz.

The kubelet usually has a certificate that no authority of the cluster has signed. So the certificate is verified only with a CA file. The
default address is the address of the agent's own node. Documented with its risk in docs/reference/permissions.md.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from node_core.decode import parse_yaml, read_document
from node_core.errors import KubeletError, SettingsError
from node_core.kube.http import describe_cause

TIMEOUT = 10.0
MAX_BYTES = 1 << 20
_HINT = "--kubelet-config-uri can name a file in place of the endpoint"


def read_kubelet_config(uri: str, token_file: Path, ca_file: Path | None = None) -> Any:
    """Returns the document at a URI `file:///path` or `https://host:port/configz`. Raises KubeletError.

    token_file: the token for https, which needs the right to `get` nodes/configz (Kubernetes before 1.33: nodes/proxy).
    ca_file: the certificates of the authorities that sign the kubelet's certificate; None to accept every certificate.
    """
    if urlsplit(uri).scheme == "file":
        return _read_file(Path(urlsplit(uri).path))
    try:
        return json.loads(_request(uri, token_file, ca_file))
    except (ValueError, RecursionError) as error:
        raise KubeletError(f"GET {uri}: the response is not JSON", hint=_HINT) from error


def _read_file(path: Path) -> Any:
    try:
        return parse_yaml(read_document(path))
    except SettingsError as error:
        raise KubeletError(f"cannot read the kubelet's configuration: {error.message}") from error


def _request(uri: str, token_file: Path, ca_file: Path | None) -> bytes:
    headers = {"Accept": "application/json", "Authorization": f"Bearer {_read_token(token_file)}"}
    try:
        with _open_pool(ca_file) as pool:
            response = pool.request(
                "GET", uri, headers=headers, timeout=TIMEOUT, retries=False, redirect=False, preload_content=False
            )
            content = read_body(response)
            response.release_conn()
    except (HTTPError, OSError) as error:
        raise KubeletError(f"GET {uri}: the kubelet does not answer: {describe_cause(error)}", hint=_HINT) from error
    if response.status != 200:
        detail = " ".join(content[:200].decode(errors="replace").split())
        raise KubeletError(f"GET {uri}: HTTP {response.status}: {detail}", hint=_hint(response.status))
    if len(content) > MAX_BYTES:
        raise KubeletError(f"GET {uri}: the response is larger than {MAX_BYTES} bytes", hint=_HINT)
    return content


def _open_pool(ca_file: Path | None) -> urllib3.PoolManager:
    if ca_file is not None:
        return urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=str(ca_file))
    urllib3.disable_warnings(InsecureRequestWarning)
    return urllib3.PoolManager(cert_reqs="CERT_NONE")


def read_body(response: BaseHTTPResponse, clock: Callable[[], float] = time.monotonic) -> bytes:
    """Returns at most MAX_BYTES + 1 bytes. Raises TimeoutError after TIMEOUT: the timeout of the request applies to each read alone."""
    content, end = b"", clock() + TIMEOUT
    while len(content) <= MAX_BYTES and (part := response.read1(MAX_BYTES + 1 - len(content))):
        if clock() > end:
            raise TimeoutError
        content += part
    return content


def _read_token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeletError(f"cannot read the token {file}: {type(error).__name__}", hint=_HINT) from error
    if not token or not token.isascii() or not token.isprintable():
        raise KubeletError(f"{file} does not contain a token", hint=_HINT)
    return token


def _hint(status: int) -> str:
    if status == 403:
        return f"the account needs the right to get nodes/configz, before Kubernetes 1.33 nodes/proxy; {_HINT}"
    return _HINT
