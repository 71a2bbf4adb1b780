"""The status of a call: a code and a message. Source: gRPC, Status codes and their use; PROTOCOL-HTTP2.md, Status and Errors."""

from enum import IntEnum
from urllib.parse import quote, unquote

from h2.errors import ErrorCodes

from node_core.errors import NodeError

MAX_MESSAGE_BYTES = 4096
"""The maximum size of an encoded message in bytes. A gRPC peer may refuse more than 8 KiB of headers."""
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Status(IntEnum):
    """The gRPC status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class CallError(NodeError):
    """A call failed. code: the name of a gRPC status, for example `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_HTTP = {
    b"400": Status.INTERNAL,
    b"401": Status.UNAUTHENTICATED,
    b"403": Status.PERMISSION_DENIED,
    b"404": Status.UNIMPLEMENTED,
    b"429": Status.UNAVAILABLE,
    b"502": Status.UNAVAILABLE,
    b"503": Status.UNAVAILABLE,
    b"504": Status.UNAVAILABLE,
}
_RESETS = {
    ErrorCodes.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCodes.CANCEL: Status.CANCELLED,
    ErrorCodes.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    ErrorCodes.INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
}


def status_of_http(code: bytes) -> Status:
    """Returns the gRPC status for the HTTP status of a response without a gRPC status. PURE."""
    return _HTTP.get(code, Status.UNKNOWN)


def status_of_reset(code: int) -> Status:
    """Returns the gRPC status for a stream that the server reset with the HTTP/2 error code. PURE."""
    return _RESETS.get(ErrorCodes(code), Status.INTERNAL) if code in set(ErrorCodes) else Status.INTERNAL


def parse_status(value: bytes) -> Status:
    """Parses the value of `grpc-status`. Returns UNKNOWN if the value is not a gRPC status code. PURE."""
    try:
        return Status(int(value))
    except ValueError:
        return Status.UNKNOWN


def encode_message(message: str) -> bytes:
    """Returns the value of `grpc-message`: the message in percent-encoding, cut at MAX_MESSAGE_BYTES. PURE."""
    encoded = quote(message, safe=_PLAIN, errors="replace")[:MAX_MESSAGE_BYTES]
    whole = encoded[:-2] + encoded[-2:].partition("%")[0]  # the cut can divide a %XX sequence
    return whole.strip().encode("ascii")


def decode_message(value: bytes) -> str:
    """Decodes the value of `grpc-message`. PURE."""
    return unquote(value.decode("latin-1"), errors="replace")
