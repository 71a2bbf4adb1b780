"""Registers a resource with the kubelet, in an API version that the kubelet supports."""

from pathlib import Path
from typing import Literal, get_args

import msgspec

from node_core.errors import KubeletError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import call, kubelet_error

ApiVersion = Literal["v1beta1", "v1alpha"]
VERSIONS: tuple[ApiVersion, ...] = get_args(ApiVersion)
"""Newest first. Kubelets before version 1.10 support only v1alpha."""
PACKAGES: dict[ApiVersion, str] = {"v1beta1": "v1beta1", "v1alpha": "deviceplugin"}
TIMEOUT = 5.0


class RegistrationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a registration. versions: in the order of the attempts. timeout: seconds for one attempt.

    The next version is attempted only if the kubelet does not support the version before.
    """

    versions: tuple[ApiVersion, ...] = VERSIONS
    timeout: float = TIMEOUT


DEFAULT = RegistrationOptions()


def register(
    kubelet_socket: Path,
    resource: str,
    endpoint: str,
    options: pb.DevicePluginOptions,
    registration: RegistrationOptions = DEFAULT,
) -> ApiVersion:
    """Registers `resource` with the kubelet. endpoint: the name of the plugin's socket in the kubelet's device-plugin directory.

    The kubelet connects to this socket before the kubelet responds. Returns the API version that the kubelet accepted.
    Raises KubeletError if no kubelet runs, the response is late, or the kubelet refuses; the error contains the kubelet's message.
    """
    if not kubelet_socket.exists():
        raise KubeletError(
            f"cannot register {resource}: {kubelet_socket} does not exist", hint="check that the kubelet is running"
        )
    *first, last = registration.versions
    with Client(kubelet_socket) as client:
        for version in first:
            if _register(client, version, resource, endpoint, options, registration.timeout):
                return version
        _register(client, last, resource, endpoint, options, registration.timeout, is_last=True)
        return last


def _register(
    client: Client,
    version: ApiVersion,
    resource: str,
    endpoint: str,
    options: pb.DevicePluginOptions,
    timeout: float,
    *,
    is_last: bool = False,
) -> bool:
    """Returns True if the kubelet accepted the registration, and False if another version must be attempted. Raises KubeletError."""
    request = pb.RegisterRequest(version=version, endpoint=endpoint, resource_name=resource)
    if version == "v1beta1":
        request.options.CopyFrom(options)
    try:
        call(client, f"/{PACKAGES[version]}.Registration/Register", request, pb.Empty, timeout=timeout)
    except CallError as error:
        if not is_last and _is_unknown_version(error):
            return False
        raise kubelet_error(f"cannot register {resource}", error) from error
    return True


def _is_unknown_version(error: CallError) -> bool:
    """Returns whether the kubelet does not serve this version, or its message reports that the version is not supported."""
    return error.code == "UNIMPLEMENTED" or "is not supported by kubelet" in error.message
