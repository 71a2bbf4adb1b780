"""The simulated API server: start and stop, tokens, request counts, failures on demand. Listens on 127.0.0.1 only."""

import base64
import contextlib
import json
import secrets
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node_core.host.root import HostRoot
from simulation.apiserver.api import Api
from simulation.apiserver.certificate import make_certificate
from simulation.apiserver.http import HttpServer
from simulation.apiserver.node_object import make_lease, make_node
from simulation.apiserver.resources import resource_named
from simulation.apiserver.status import ApiError, Obj
from simulation.apiserver.store import Store, timestamp
from simulation.apiserver.writes import Target, Writer

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
ADMIN = "gpunode-admin"
_SETUP = Writer(manager="gpunode-simulate")
_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiServer:
    """A simulated kube-apiserver. Use `with ApiServer() as server:`. Port, certificate and objects remain after `stop` and `start`.

    port: 0 selects an unused port. tokens: bearer token -> user name, in addition to the token of the admin. watch_seconds: the
    length of a watch without a timeout. bookmark_seconds: the interval of bookmarks in a watch that allows bookmarks.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        tokens: Mapping[str, str] | None = None,
        store: Store | None = None,
        watch_seconds: float = 1800.0,
        bookmark_seconds: float = 60.0,
    ) -> None:
        self.store = store or Store()
        self.api = Api(self.store)
        self.token = secrets.token_urlsafe(24)
        self.watch_seconds = watch_seconds
        self.bookmark_seconds = bookmark_seconds
        self._tokens = {**(tokens or {}), self.token: ADMIN}
        self._readers = {ADMIN}
        self._pair = make_certificate(self.store.clock())
        self._port = port
        self._http: HttpServer | None = None
        self._lock = threading.Lock()
        self._counted: Counter[tuple[str, str]] = Counter()
        self._failures: list[int] = []
        self._make_namespaces()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts to serve. Raises OSError if the port is in use."""
        if self._http is None:
            self._http = HttpServer(self, self._port, self._server_context())
            self._port = self._http.port
            self._http.start()

    def stop(self) -> None:
        """Closes all connections, as a crash. The objects remain."""
        if self._http is not None:
            self._http.stop()
            self._http = None

    @property
    def url(self) -> str:
        """The URL. It does not change after the first start."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def certificate(self) -> str:
        """The certificate as PEM. It is self-signed."""
        return self._pair.certificate

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """The number of requests by (verb, path template) since the start or `forget_requests`: ("patch", "/api/v1/nodes/{name}")."""
        with self._lock:
            return self._counted.copy()

    @property
    def writes(self) -> int:
        """The number of requests with a verb other than get, list and watch."""
        return sum(count for (verb, _), count in self.requests.items() if verb not in ("get", "list", "watch"))

    def forget_requests(self) -> None:
        with self._lock:
            self._counted.clear()

    def fail_next(self, count: int, status: int = 503) -> None:
        """Makes the next `count` requests for objects fail with this HTTP status."""
        with self._lock:
            self._failures += [status] * count

    def reject_token(self, token: str) -> None:
        """Refuses the token with 401, as after a rotation."""
        with self._lock:
            self._tokens.pop(token, None)

    def accept_token(self, token: str, user: str) -> None:
        with self._lock:
            self._tokens[token] = user

    def user_of(self, token: str) -> str | None:
        with self._lock:
            return self._tokens.get(token)

    def allow_paths(self, user: str) -> None:
        """Lets SubjectAccessReviews allow the user to get all paths that are not paths of objects. The admin is always allowed."""
        with self._lock:
            self._readers.add(user)

    def may_get_paths(self, user: str) -> bool:
        with self._lock:
            return user in self._readers

    def start_request(self, verb: str, template: str) -> None:
        """Counts the request. Raises the ApiError that `fail_next` has ordered."""
        with self._lock:
            self._counted[verb, template] += 1
            status = self._failures.pop(0) if self._failures else None
        if status is not None:
            raise ApiError(
                status, _REASONS.get(status, "InternalError"), f"simulated failure with HTTP status {status}"
            )

    def kubeconfig(self, token: str | None = None) -> Obj:
        """Returns a kubeconfig for kubectl and client libraries. token: the admin's by default."""
        authority = base64.b64encode(self.certificate.encode()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "gpunode-simulated", "cluster": {"server": self.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": ADMIN, "user": {"token": token or self.token}}],
            "contexts": [{"name": "gpunode-simulated", "context": {"cluster": "gpunode-simulated", "user": ADMIN}}],
            "current-context": "gpunode-simulated",
        }

    def write_kubeconfig(self, path: Path, token: str | None = None) -> None:
        """Writes a kubeconfig that only its owner can read. JSON is valid YAML."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.kubeconfig(token), indent=2) + "\n")

    def add_node(self, name: str, *, labels: Mapping[str, str] | None = None, host: HostRoot | None = None) -> None:
        """Creates a Ready Node with the size of this machine, and its Lease. Raises ApiError 409 if the Node exists, 422 for bad labels."""
        now = timestamp(self.store.clock())
        node = make_node(name, labels or {}, host=host or HostRoot(), now=now)
        self.api.create(Target(resource=resource_named("nodes")), node, Writer(manager="kubelet"))
        leases = Target(resource=resource_named("leases.coordination.k8s.io"), namespace="kube-node-lease")
        with contextlib.suppress(ApiError):  # the Lease of an earlier Node with this name remains
            self.api.create(leases, make_lease(name, now=now), Writer(manager="kubelet"))

    def _make_namespaces(self) -> None:
        present = {item["metadata"]["name"] for item in self.store.list("namespaces")[0]}
        for name in NAMESPACES:
            if name not in present:
                body: Any = {"metadata": {"name": name}}
                self.api.create(Target(resource=resource_named("namespaces")), body, _SETUP)

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # OpenSSL reads certificates only from files
            file.write(self._pair.key + self._pair.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        return context
