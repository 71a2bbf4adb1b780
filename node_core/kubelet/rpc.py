"""Calls with the messages of the kubelet's APIs, and their errors."""

from typing import Any

from google.protobuf.message import DecodeError

from node_core.errors import KubeletError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError


def call(client: Client, method: str, request: Any, response_type: Any, *, timeout: float) -> Any:
    """Calls a unary method. Returns the response as a message of response_type. timeout: seconds. Raises CallError."""
    return parse(response_type, client.call(method, request.SerializeToString(), timeout=timeout))


def parse(message_type: Any, content: bytes) -> Any:
    """Parses the message. Raises CallError. PURE."""
    try:
        return message_type.FromString(content)
    except DecodeError as error:
        raise CallError("INTERNAL", f"cannot decode {message_type.DESCRIPTOR.name}: {error}") from error


def kubelet_error(what: str, error: CallError) -> KubeletError:
    """Returns the error for a failed call, in the format of Kubernetes' messages, so that users can search for it. what: the failure."""
    return KubeletError(f"{what}: rpc error: code = {error.code} desc = {error.message}")
