"""Requests to an API server over one pool of connections. Every failure is a KubeError, whose text contains no credentials."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from node_core.errors import KubeError
from node_core.kube.cluster import Cluster, read_cluster

log = structlog.get_logger(__name__)

View = TypeVar("View")

TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for a response."""
CONNECTIONS = 16
"""Maximum connections in the pool: more than the threads of a process that send requests."""
KEEP_ALIVE = (
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 9),
)
"""A watch can be silent for minutes. With these options, which client-go also uses, the kernel detects a dead peer."""

JSON = "application/json"
_METADATA = f"{JSON};as={{kind}};g=meta.k8s.io;v=v1,{JSON}"
METADATA = _METADATA.format(kind="PartialObjectMetadata")
METADATA_LIST = _METADATA.format(kind="PartialObjectMetadataList")
"""Media types of the metadata of objects alone. Source: Kubernetes API concepts, PartialObjectMetadata."""

NODE_NOT_FOUND_HINT = "no such Node: compare --node-name or NODE_NAME with `kubectl get nodes`"
NO_API_SERVER = "check that the address is that of a Kubernetes API server, and that no proxy responds in its place"

_HINTS = {
    401: "the token or certificate was rejected: check the kubeconfig or the service account",
    403: "the credentials do not permit this request: check the roles and admission policies in manifests/",
    404: NODE_NOT_FOUND_HINT,
}


class EventStream:
    """The events of one watch, in order. `shutdown` may be called from any thread."""

    def __init__(self, response: Any, description: str) -> None:
        self._response = response
        self._description = description

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yields the JSON of each event: type and object. Raises KubeError if the connection fails or a line is not JSON."""
        try:
            for line in self._lines():
                yield parse_event(line, self._description)
        except (HTTPError, OSError) as error:
            raise connection_error("GET", self._description, error) from error

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._response.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from filter(None, lines)

    def shutdown(self) -> None:
        """Ends the iteration in another thread."""
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            return  # the stream has already ended

    def close(self) -> None:
        self._response.close()


class ApiClient:
    """Connects at the first request. Reads the credentials again after a 401, because they may have been renewed.

    kubeconfig: files, separated by colons; None for the pod's service account. context: of the kubeconfig; None for the current one.
    timeout: seconds to connect, and to wait for a response.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None,
        user_agent: str,
        context: str | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._user_agent = user_agent
        self._timeout = timeout
        self._connected: tuple[Cluster, urllib3.PoolManager] | None = None
        self._connecting = threading.Lock()

    @property
    def namespace(self) -> str | None:
        """The default namespace of the credentials, if any is set. Reads the credentials. Raises KubeError."""
        return self._connect()[0].namespace

    @property
    def server(self) -> str:
        """The URL of the API server. Reads the credentials. Raises KubeError."""
        return self._connect()[0].server

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        """Sends a request and returns the JSON of the response. query, body, content, accept: see `open`. Raises KubeError."""
        response = self.open(verb, path, **request)
        try:
            content: Mapping[str, Any] = json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise KubeError(f"{verb} {path}: the response is not JSON", hint=NO_API_SERVER) from error
        except (HTTPError, OSError) as error:
            raise connection_error(verb, path, error) from error
        finally:
            response.release_conn()
        return content

    def watch(self, path: str, query: Mapping[str, str], *, seconds: int, accept: str = JSON) -> EventStream:
        """Opens a watch of a collection, which the API server ends after this number of seconds. Raises KubeError."""
        parameters = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        response = self.open("GET", path, query=parameters, accept=accept)
        connection = response.connection
        if isinstance(connection, HTTPConnection) and connection.sock is not None:
            connection.sock.settimeout(seconds + self._timeout[1])
        return EventStream(response, f"{path}?watch=true")

    def open(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str | None = None,
        accept: str = JSON,
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request, and returns the response before its content is read. body: JSON to send. content: the media type of the body.

        accept: the media type of the response. Raises KubeError.
        """
        cluster, pool = self._connect()
        began = time.monotonic()
        headers = {"Accept": accept, "User-Agent": self._user_agent}
        headers |= {"Content-Type": content} if content else {}
        try:
            authorization = cluster.authorization()
            response = pool.urlopen(
                verb,
                f"{cluster.server}{path}{'?' + urlencode(query) if query else ''}",
                body=None if body is None else json.dumps(body).encode(),
                headers=headers | ({"Authorization": authorization} if authorization else {}),
                timeout=urllib3.Timeout(connect=self._timeout[0], read=self._timeout[1]),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (HTTPError, OSError) as error:
            raise connection_error(verb, path, error) from error
        except ValueError:  # its text and its cause contain the token
            raise KubeError(f"{verb} {path}: cannot be sent: the credentials are not valid in an HTTP header") from None
        log.debug(
            "api_request",
            verb=verb,
            path=path,
            query=dict(query or {}),
            status=response.status,
            seconds=round(time.monotonic() - began, 4),
        )
        if response.status == 401:
            self._connected = None
        if response.status >= 300:
            raise _error_of(verb, path, response)
        return response

    def _connect(self) -> tuple[Cluster, urllib3.PoolManager]:
        with self._connecting:  # informers and agents send requests from their own threads
            if self._connected is None:
                cluster = read_cluster(self._kubeconfig, self._context)
                self._connected = cluster, open_pool(cluster)
            return self._connected


def open_pool(cluster: Cluster) -> urllib3.PoolManager:
    """Creates the pool without connecting. Raises KubeError."""
    if not cluster.is_verified:
        log.warning(
            "tls_not_verified", server=cluster.server, effect="any server on the network path can act as the API server"
        )
        urllib3.disable_warnings(InsecureRequestWarning)
    options: dict[str, Any] = {
        "maxsize": CONNECTIONS,
        "socket_options": KEEP_ALIVE,
        "cert_reqs": "CERT_REQUIRED" if cluster.is_verified else "CERT_NONE",
        "ca_certs": cluster.ca_file,
        "ca_cert_data": cluster.ca_data,
        "cert_file": cluster.certificate_file,
        "key_file": cluster.key_file,
    }
    if cluster.server_name:
        options["server_hostname"] = cluster.server_name
    try:
        return _open_proxy(cluster.proxy, options) if cluster.proxy else urllib3.PoolManager(**options)
    except (HTTPError, ImportError, ValueError) as error:
        raise KubeError(f"no usable cluster configuration: the proxy: {error}") from error


def _open_proxy(proxy: str, options: Mapping[str, Any]) -> urllib3.PoolManager:
    if not proxy.startswith("socks"):
        return urllib3.ProxyManager(proxy, **options)
    from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - it needs another package

    return SOCKSProxyManager(proxy, **options)


def parse_event(line: bytes, description: str) -> Mapping[str, Any]:
    """Parses a line of a watch. description: the watch, for messages. Raises KubeError if the line is not JSON."""
    try:
        event: Mapping[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise KubeError(f"GET {description}: an event is not JSON") from error
    return event


def parse_response(parse: Callable[[Mapping[str, Any]], View], response: Mapping[str, Any]) -> View:
    """Parses a response. Raises KubeError if the response does not have the form in the Kubernetes documentation."""
    try:
        return parse(response)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = f"cannot parse the API server's response: {type(error).__name__}: {error}"
        raise KubeError(problem, hint=NO_API_SERVER) from error


def connection_error(verb: str, path: str, error: Exception) -> KubeError:
    """Returns the error for a failed connection, with the cause in words in place of the text of urllib3."""
    return KubeError(f"{verb} {path}: the API server does not respond: {describe_cause(error)}")


def describe_cause(error: Exception) -> str:
    """Returns why a request got no response, in words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        if (words := next((words for kind, words in _CAUSES.items() if isinstance(cause, kind)), None)) is not None:
            return words
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        reason = getattr(cause, "reason", None)
        cause = reason if isinstance(reason, BaseException) else cause.__cause__ or cause.__context__
    return str(getattr(error, "reason", None) or error)


_CAUSES: Mapping[type[BaseException], str] = {
    ssl.SSLError: "TLS cannot be negotiated. Check that the address begins with https only if the server uses TLS",
    socket.gaierror: "the name of its host cannot be resolved",
    TimeoutError: "no response in time",
    ConnectionRefusedError: "connection refused",
    ConnectionError: "the connection was closed",
}


def describe_status(status: Mapping[str, Any]) -> str:
    """Returns the message of a Status object. Only the causes of a refused eviction name the disruption budget."""
    causes = (status.get("details") or {}).get("causes") or ()
    budgets = (
        str(each["message"]) for each in causes if each.get("reason") == "DisruptionBudget" and each.get("message")
    )
    return " ".join((str(status.get("message", "")), *budgets))


def _error_of(verb: str, path: str, response: urllib3.BaseHTTPResponse) -> KubeError:
    try:
        detail = describe_status(json.loads(response.data))
    except (ValueError, AttributeError, TypeError, RecursionError, HTTPError, OSError):
        detail = response.reason or ""
    response.release_conn()
    message = f"{verb} {path}: HTTP {response.status}: {detail}".rstrip(": ")
    of_node = response.status != 404 or path.startswith("/api/v1/nodes/")
    return KubeError(message, status=response.status, hint=_HINTS.get(response.status) if of_node else None)
