"""Codes and messages of gRPC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.grpc_h2.status import (
    MAX_MESSAGE_BYTES,
    Status,
    decode_message,
    encode_message,
    parse_status,
    status_of_http,
    status_of_reset,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(texts.filter(lambda text: text == text.strip()))
def test_an_encoded_message_is_decoded_to_the_same_text(text: str) -> None:
    assert decode_message(encode_message(text)) == text


@given(st.text(max_size=3 * MAX_MESSAGE_BYTES))
def test_an_encoded_message_is_short_ascii(text: str) -> None:
    encoded = encode_message(text)
    assert len(encoded) <= MAX_MESSAGE_BYTES
    assert all(0x20 <= byte <= 0x7E for byte in encoded)


@pytest.mark.parametrize("length", range(MAX_MESSAGE_BYTES - 4, MAX_MESSAGE_BYTES + 1))
def test_a_truncated_message_has_no_partial_percent_code(length: int) -> None:
    assert decode_message(encode_message("a" * length + "%%%")).rstrip("%") == "a" * length


def test_messages_are_encoded_like_in_the_specification() -> None:
    assert encode_message("no device 'é%'\n!") == b"no device '%C3%A9%25'%0A!"
    assert decode_message(b"100% sure %zz") == "100% sure %zz"


@pytest.mark.parametrize(
    ("value", "status"), [(b"0", Status.OK), (b"12", Status.UNIMPLEMENTED), (b"99", Status.UNKNOWN), (b"x", Status.UNKNOWN)]
)  # fmt: skip
def test_an_unknown_status_is_unknown(value: bytes, status: Status) -> None:
    assert parse_status(value) is status


def test_an_http_status_is_translated() -> None:
    assert [status_of_http(code) for code in (b"404", b"503", b"418")] == [
        Status.UNIMPLEMENTED, Status.UNAVAILABLE, Status.UNKNOWN,
    ]  # fmt: skip
    assert [status_of_reset(code) for code in (7, 8, 2, 4711)] == [
        Status.UNAVAILABLE, Status.CANCELLED, Status.INTERNAL, Status.INTERNAL,
    ]  # fmt: skip
