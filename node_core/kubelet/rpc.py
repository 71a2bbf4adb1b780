"""gRPC over unix sockets, and what a call may fail with. Source: gRPC naming, `unix:` scheme."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import grpc

from node_core.errors import KubeletError, NodeError

_OPTIONS: Final[Sequence[tuple[str, int | str]]] = (
    ("grpc.use_local_subchannel_pool", 1),  # a new channel must not inherit the back-off of one that failed
    ("grpc.default_authority", "localhost"),  # a path is no valid authority for Go's HTTP/2
    ("grpc.enable_http_proxy", 0),
)
MOST_BYTES = 4 << 20
"""gRPC's own limit for an answer."""


class CallError(NodeError):
    """An answer to a caller: code is the name of a gRPC status, `NOT_FOUND`."""

    retryable = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def target(path: Path) -> str:
    return f"unix:{path.absolute()}"


def open_channel(path: Path, *, most_bytes: int = MOST_BYTES) -> grpc.Channel:
    """most_bytes: of one answer."""
    size = ("grpc.max_receive_message_length", most_bytes)
    return grpc.insecure_channel(target(path), options=[*_OPTIONS, size])


def explain(error: grpc.RpcError) -> tuple[str, str]:
    """(code, details) of a failed call."""
    call = cast("grpc.Call", error)  # what a call raises is both; its declared type says only one
    return call.code().name, call.details() or ""


def kubelet_error(what: str, error: grpc.RpcError) -> KubeletError:
    """`what` failed: with the words of Kubernetes' own messages, so that people find them in search."""
    code, details = explain(error)
    return KubeletError(f"{what}: rpc error: code = {code} desc = {details}")
