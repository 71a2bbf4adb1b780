"""Header blocks compared with hpack."""

from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from node_core.grpc_h2.header_blocks import MAX_BLOCKS, BlockDecoder, BlockEncoder
from node_core.grpc_h2.headers import OK, RESPONSE, Headers, render_request, render_trailers
from node_core.grpc_h2.status import Status

LIMIT = 1 << 16
names = st.sampled_from([b":path", b":method", b"te", b"a", b"b"])
blocks = st.lists(st.tuples(names, st.sampled_from([b"/", b"GET", b"1", b"2"])), max_size=4)
responses = st.sampled_from([RESPONSE, OK, render_trailers(Status.NOT_FOUND, "no device"), [*RESPONSE, *OK]])


@given(st.lists(blocks, max_size=40))
def test_blocks_are_decoded_as_without_memory(lists: list[list[tuple[bytes, bytes]]]) -> None:
    encoder, decoder = Encoder(), BlockDecoder(LIMIT)
    assert [list(decoder.decode(encoder.encode(each), raw=True)) for each in lists] == lists


def test_the_same_block_has_other_headers_after_the_table_has_changed() -> None:
    decoder, newest = BlockDecoder(LIMIT), b"\xbe"
    found = []
    for header in ((b"a", b"1"), (b"b", b"2")):
        decoder.decode(Encoder().encode([header]), raw=True)
        found += [list(decoder.decode(newest, raw=True)) for _ in range(2)]
    assert found == [[(b"a", b"1")], [(b"a", b"1")], [(b"b", b"2")], [(b"b", b"2")]]


def test_a_repeated_block_is_decoded_once() -> None:
    encoder, decoder = Encoder(), BlockDecoder(LIMIT)
    first, *others = (decoder.decode(encoder.encode(render_request("/a.B/C", None)), raw=True) for _ in range(4))
    assert all(each is others[0] for each in others)
    assert list(first) == list(others[0])


def test_the_number_of_remembered_blocks_is_limited() -> None:
    decoder = BlockDecoder(LIMIT)
    for index in range(1, 61):
        decoder.decode(bytes([0x80 | index]), raw=True)
        assert len(decoder._blocks) <= MAX_BLOCKS


@given(st.lists(st.one_of(responses, st.integers(0, 4096)), max_size=20))
def test_blocks_of_responses_are_decoded_by_any_client(steps: list[Headers | int]) -> None:
    """A number is a new size of the client's header table."""
    encoder, decoder = BlockEncoder(), Decoder()
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = step
        else:
            assert list(decoder.decode(encoder.encode(step), raw=True)) == list(step)


def test_the_headers_of_a_successful_call_are_the_same_bytes_each_time() -> None:
    encoder = BlockEncoder()
    encoded = [(encoder.encode(RESPONSE), encoder.encode(OK)) for _ in range(3)]
    assert encoded == encoded[:1] * 3
    assert not encoder.header_table.dynamic_entries
