"""Registering a resource at the kubelet, in the version of the API that it speaks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import grpc

from node_core.errors import KubeletError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import explain, kubelet_error, open_channel

ApiVersion = Literal["v1beta1", "v1alpha"]
VERSIONS: tuple[ApiVersion, ...] = get_args(ApiVersion)
"""Newest first. Kubelets before 1.10 have v1alpha alone."""
PACKAGES: dict[ApiVersion, str] = {"v1beta1": "v1beta1", "v1alpha": "deviceplugin"}
TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to register. versions: tried in this order, the next one only where the kubelet does not know the one before.

    timeout: seconds for one try.
    """

    versions: tuple[ApiVersion, ...] = VERSIONS
    timeout: float = TIMEOUT


DEFAULT = Manner()


def register(
    kubelet_socket: Path, resource: str, endpoint: str, options: pb.DevicePluginOptions, manner: Manner = DEFAULT
) -> ApiVersion:
    """Tells the kubelet that `resource` is served on the socket of that name in its directory. It connects back before it answers.

    The result is the version that it took. Raises KubeletError: no kubelet, no answer in time, or the kubelet's refusal in its own words.
    """
    if not kubelet_socket.exists():
        raise KubeletError(f"cannot register {resource}: there is no {kubelet_socket}", hint="is the kubelet running?")
    *first, last = manner.versions
    with open_channel(kubelet_socket) as channel:
        for version in first:
            if _register(channel, version, resource, endpoint, options, manner.timeout):
                return version
        _register(channel, last, resource, endpoint, options, manner.timeout, is_last=True)
        return last


def _register(
    channel: grpc.Channel,
    version: ApiVersion,
    resource: str,
    endpoint: str,
    options: pb.DevicePluginOptions,
    timeout: float,
    *,
    is_last: bool = False,
) -> bool:
    """Whether the kubelet took it; False where it does not speak this version and another one can be tried."""
    request = pb.RegisterRequest(version=version, endpoint=endpoint, resource_name=resource)
    if version == "v1beta1":
        request.options.CopyFrom(options)
    call = channel.unary_unary(
        f"/{PACKAGES[version]}.Registration/Register",
        request_serializer=pb.RegisterRequest.SerializeToString,
        response_deserializer=pb.Empty.FromString,
    )
    try:
        call(request, timeout=timeout)
    except grpc.RpcError as error:
        if not is_last and _is_unknown_version(error):
            return False
        raise kubelet_error(f"cannot register {resource}", error) from error
    return True


def _is_unknown_version(error: grpc.RpcError) -> bool:
    """A kubelet without the service, or one that names the version that it wants instead."""
    code, details = explain(error)
    return code == "UNIMPLEMENTED" or "is not supported by kubelet" in details
