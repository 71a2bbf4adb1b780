"""Registering a resource at the kubelet."""

from pathlib import Path

import grpc

from node_core.errors import KubeletError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import kubelet_error, open_channel
from node_core.kubelet.sockets import API_VERSION

METHOD = "/v1beta1.Registration/Register"
TIMEOUT = 5.0


def register(
    kubelet_socket: Path, resource: str, endpoint: str, options: pb.DevicePluginOptions, *, timeout: float = TIMEOUT
) -> None:
    """Tells the kubelet that `resource` is served on the socket of that name in its directory. It connects back before it answers.

    Raises KubeletError: no kubelet, no answer within `timeout` seconds, or the kubelet's refusal in its own words.
    """
    if not kubelet_socket.exists():
        raise KubeletError(f"cannot register {resource}: there is no {kubelet_socket}", hint="is the kubelet running?")
    request = pb.RegisterRequest(version=API_VERSION, endpoint=endpoint, resource_name=resource, options=options)
    with open_channel(kubelet_socket) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=pb.RegisterRequest.SerializeToString,
            response_deserializer=pb.Empty.FromString,
        )
        try:
            call(request, timeout=timeout)
        except grpc.RpcError as error:
            raise kubelet_error(f"cannot register {resource}", error) from error
