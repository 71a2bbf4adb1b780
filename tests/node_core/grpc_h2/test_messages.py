"""Messages out of pieces of data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.grpc_h2.messages import Decoder, encode
from node_core.grpc_h2.status import CallError


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 20))
def test_messages_are_decoded_from_any_pieces(contents: list[bytes], piece: int) -> None:
    data = b"".join(map(encode, contents))
    decoder = Decoder()
    found = [each for at in range(0, len(data), piece) for each in decoder.feed(data[at : at + piece])]
    assert (found, len(decoder)) == (contents, 0)


def test_a_message_that_is_too_large_is_rejected_by_its_prefix() -> None:
    assert list(Decoder(10).feed(encode(b"x" * 10))) == [b"x" * 10]
    with pytest.raises(CallError, match="11 bytes is larger than 10") as refused:
        list(Decoder(10).feed(encode(b"x" * 11)[:5]))
    assert refused.value.code == "RESOURCE_EXHAUSTED"


def test_a_compressed_message_is_rejected() -> None:
    with pytest.raises(CallError) as refused:
        list(Decoder().feed(b"\x01\0\0\0\0"))
    assert refused.value.code == "UNIMPLEMENTED"
