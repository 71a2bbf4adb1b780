"""The headers of calls."""

import pytest

from node_core.grpc_h2.headers import Request, parse_request, parse_timeout, render_request, render_timeout
from node_core.grpc_h2.status import CallError


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"250m", 0.25), (b"5u", 5e-6), (b"99999999n", 0.099999999)]
)  # fmt: skip
def test_a_timeout_is_parsed_with_its_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"5", b"m", b"-1S", b"1.5S", b"123456789S", b"1s", "²S".encode()])
def test_a_malformed_timeout_is_an_error(value: bytes) -> None:
    with pytest.raises(CallError, match="grpc-timeout"):
        parse_timeout(value)


def test_a_rendered_timeout_is_never_zero_and_never_too_long() -> None:
    assert [render_timeout(each) for each in (0.0, 0.25, 1e9)] == [b"1m", b"250m", b"99999999m"]


def test_a_rendered_request_is_parsed_to_the_same_request() -> None:
    assert parse_request(render_request("/a.B/C", 1.5)) == Request(path="/a.B/C", timeout=1.5)
    assert parse_request(render_request("/a.B/C", None)) == Request(path="/a.B/C", timeout=None)


@pytest.mark.parametrize(
    ("field", "code"),
    [((b":method", b"GET"), "INTERNAL"), ((b"content-type", b"text/html"), "INTERNAL"), ((b"grpc-encoding", b"gzip"), "UNIMPLEMENTED")],
)  # fmt: skip
def test_a_request_that_is_not_grpc_is_an_error(field: tuple[bytes, bytes], code: str) -> None:
    with pytest.raises(CallError) as refused:
        parse_request([*render_request("/a.B/C", None), field])
    assert refused.value.code == code
