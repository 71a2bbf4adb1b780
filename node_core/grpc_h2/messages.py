"""Encodes and decodes the messages in the data of a stream. Pure.

A message has a prefix of one byte for the compressed flag and four bytes for the length.

Source: PROTOCOL-HTTP2.md of gRPC, Length-Prefixed-Message.
"""

import struct
from collections.abc import Iterator

from node_core.grpc_h2.status import CallError

MAX_BYTES = 4 << 20
"""The maximum size of one message in bytes. The gRPC libraries have the same default."""
_PREFIX = struct.Struct(">BI")


def encode(message: bytes) -> bytes:
    """Returns the message with its prefix. PURE."""
    return _PREFIX.pack(0, len(message)) + message


class Decoder:
    """Decodes messages from chunks of data. max_bytes: the maximum size of one message."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()

    def __len__(self) -> int:
        """Returns the number of bytes of the incomplete message."""
        return len(self._data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the messages that are complete. Raises CallError if a message is compressed or too large."""
        self._data += data
        while len(self._data) >= _PREFIX.size:
            is_compressed, size = _PREFIX.unpack_from(self._data)
            if is_compressed:
                raise CallError("UNIMPLEMENTED", "compressed messages are not supported: send grpc-encoding identity")
            if size > self._max_bytes:
                raise CallError("RESOURCE_EXHAUSTED", f"a message of {size} bytes is larger than {self._max_bytes}")
            end = _PREFIX.size + size
            if len(self._data) < end:
                return
            message = bytes(self._data[_PREFIX.size : end])
            del self._data[:end]
            yield message
