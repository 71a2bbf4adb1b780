"""The headers of requests and responses. Pure. Source: PROTOCOL-HTTP2.md of gRPC, Requests and Responses."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from node_core.grpc_h2.status import CallError, Status, encode_message

Headers = Sequence[tuple[bytes, bytes]]

CONTENT_TYPE = (b"content-type", b"application/grpc")
RESPONSE: Headers = ((b":status", b"200"), CONTENT_TYPE)
OK: Headers = ((b"grpc-status", b"0"),)
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The method and the timeout of a call. path: `/package.Service/Method`. timeout: seconds from now; None for no limit."""

    path: str
    timeout: float | None


def parse_request(headers: Iterable[tuple[bytes, bytes]]) -> Request:
    """Parses the headers of a call. Raises CallError if the request is not a gRPC request or is not supported. PURE."""
    fields = dict(headers)
    if fields.get(b":method") != b"POST" or not fields.get(b"content-type", b"").startswith(CONTENT_TYPE[1]):
        raise CallError("INTERNAL", "the request is not a gRPC request: use POST with content-type application/grpc")
    if (encoding := fields.get(b"grpc-encoding", b"identity")) != b"identity":
        raise CallError("UNIMPLEMENTED", f"grpc-encoding {encoding.decode('latin-1')} is not supported: use identity")
    timeout = fields.get(b"grpc-timeout")
    path = fields.get(b":path", b"").decode("latin-1")
    return Request(path=path, timeout=None if timeout is None else parse_timeout(timeout))


def parse_timeout(value: bytes) -> float:
    """Parses the value of `grpc-timeout`, for example `100m`. Returns seconds. Raises CallError. PURE."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise CallError("INTERNAL", f"malformed grpc-timeout {value.decode('latin-1')!r}")
    return int(match[1]) * _UNITS[match[2]]


def render_timeout(seconds: float) -> bytes:
    """Renders the value of `grpc-timeout` in milliseconds, at least one millisecond. PURE."""
    return b"%dm" % min(max(1, round(seconds * 1000)), 99_999_999)


def render_request(path: str, timeout: float | None) -> Headers:
    """Renders the headers of a call. PURE."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),  # Go's HTTP/2 rejects the path of a socket as authority
        (b"te", b"trailers"),
        CONTENT_TYPE,
        (b"user-agent", b"gpunode"),
    ]
    return fields if timeout is None else [*fields, (b"grpc-timeout", render_timeout(timeout))]


def render_trailers(status: Status, message: str = "") -> Headers:
    """Renders the trailers of a response. PURE."""
    if status is Status.OK:
        return OK
    return ((b"grpc-status", b"%d" % status), (b"grpc-message", encode_message(message)))
