"""Address and credentials of an API server, from the service account of a pod or from kubeconfig files.

Source: Kubernetes documentation, Accessing the Kubernetes API from a Pod; client-go's rest.InClusterConfig.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from node_core.errors import KubeError
from node_core.kube.proxy import environment_proxy

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS = 60.0
"""A token is read again at this age. The kubelet replaces the file long before the token expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """server: `https://host:port`, optionally with a path. authorization: returns the Authorization header of the next request, None for
    no header; raises OSError, or KubeError if the credentials cannot be renewed.

    ca_file, ca_data: PEM; the system's certificate authorities if both are None. server_name: the name in the server's certificate, None
    for the host in `server`. proxy: the URL of a proxy, None for a direct connection. namespace: the default namespace, if any is set.
    """

    server: str
    authorization: Callable[[], str | None]
    is_verified: bool = True
    ca_file: str | None = None
    ca_data: str | bytes | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    proxy: str | None = None
    namespace: str | None = None


def read_cluster(kubeconfig: str | None, context: str | None = None) -> Cluster:
    """Reads kubeconfig files, separated by colons, or for None the pod's service account. Raises KubeError.

    context: the context of the kubeconfig files; None for their current context.
    """
    if not kubeconfig:
        return read_service_account()
    from node_core.kube.kubeconfig import read_kubeconfig  # noqa: PLC0415 - it imports the kubernetes package, 16 MiB

    return read_kubeconfig(kubeconfig, context)


def read_service_account(
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Cluster:
    """Reads the service account of the pod in which this process runs. clock: monotonic seconds. Raises KubeError outside a pod."""
    folder = folder or SERVICE_ACCOUNT
    try:
        server = _service_url(environment)
        token = TokenFile(folder / "token", clock)
        token.authorization()
        _read(folder / "ca.crt")
        namespace = _read(folder / "namespace") if (folder / "namespace").exists() else None
    except OSError as error:
        hint = "outside a pod, set --kubeconfig or KUBECONFIG"
        raise KubeError(f"no usable cluster configuration: in-cluster: {error}", hint=hint) from error
    return Cluster(
        server=server,
        authorization=token.authorization,
        ca_file=str(folder / "ca.crt"),
        proxy=environment_proxy(urlsplit(server), environment),
        namespace=namespace,
    )


class TokenFile:
    """A bearer token in a file that the kubelet replaces. Callable from any thread."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._header: str | None = None
        self._read_at = 0.0

    def authorization(self) -> str:
        """Returns the header. Reads the token again once a minute. Raises OSError if no token was ever readable."""
        if self._header is None or self._clock() - self._read_at >= TOKEN_SECONDS:
            self._header = self._read_header(self._header)
            self._read_at = self._clock()
        return self._header

    def _read_header(self, before: str | None) -> str:
        try:
            return f"Bearer {_read(self._path)}"
        except OSError:
            if before is None:
                raise
            return before


def _service_url(environment: Mapping[str, str]) -> str:
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not host or not port:
        raise OSError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _read(file: Path) -> str:
    content = file.read_bytes().decode(errors="replace").strip()
    if not content:
        raise OSError(f"{file} is empty")
    return content
