"""Encodes and decodes header blocks. Blocks that repeat are encoded and decoded once. Source: RFC 7541."""

from collections.abc import Iterable
from typing import Any

from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple

from node_core.grpc_h2.headers import OK, RESPONSE

MAX_BLOCKS = 8
"""The maximum number of remembered blocks of a connection."""
MAX_BLOCK_BYTES = 64
"""The maximum size of a remembered block in bytes."""
_INDEXED, _LONG_INDEX = 0x80, 0xFF
_CONSTANT = {
    tuple(headers): Encoder().encode([NeverIndexedHeaderTuple(*header) for header in headers])
    for headers in (RESPONSE, OK)
}
"""The blocks of a successful call. The blocks do not use or change the dynamic table, so they are the same on each connection."""


class BlockEncoder(Encoder):
    """Encodes the headers of a successful call without a search in the header tables."""

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        fields = tuple(headers)
        block = None if self.header_table.resized else _CONSTANT.get(fields)
        return super().encode(fields, huffman) if block is None else block


class BlockDecoder(Decoder):
    """Remembers the headers of blocks that only refer to the header tables. A client sends the same block for each call of a method.

    Any other block can change the dynamic table, so this block ends the validity of the remembered ones.
    """

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._blocks: dict[bytes, Iterable[HeaderTuple]] = {}

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        if (headers := self._blocks.get(data)) is not None:
            return headers
        is_indexed = 0 < len(data) <= MAX_BLOCK_BYTES and min(data) > _INDEXED and max(data) < _LONG_INDEX
        if not is_indexed or len(self._blocks) == MAX_BLOCKS:
            self._blocks.clear()
        headers = super().decode(data, raw)
        if is_indexed:
            self._blocks[data] = headers
        return headers
