"""The expiry of a certificate, compared with the library that created the certificate."""

import base64
import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from node_core.runtime.certificate_expiry import parse_expiry
from simulation.apiserver.certificate import make_certificate


@pytest.mark.parametrize("year", [1990, 2026, 2048, 2050, 2345])
def test_the_expiry_is_that_of_the_certificate(year: int) -> None:
    pem = make_certificate(datetime(year, 5, 17, 3, 4, 5, tzinfo=UTC)).certificate.encode()
    assert parse_expiry(b"a comment\n" + pem) == x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def render_der(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def render_pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----" + base64.b64encode(der) + b"-----END CERTIFICATE-----"


def test_a_length_that_is_unknown_until_the_end_is_not_der() -> None:
    """0x80 in place of a length: BER permits it, DER does not."""
    time = render_der(0x17, b"260101000000Z")
    fields = (render_der(0x02, b"1"), render_der(0x30, b""), render_der(0x30, b""), render_der(0x30, time + time))
    tbs = render_der(0x30, b"".join(fields))
    content = tbs + render_der(0x04, b"x" * (0x80 - len(tbs) - 2))
    assert parse_expiry(render_pem(b"\x30\x81\x80" + content)) == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    with pytest.raises(ValueError, match="cannot be parsed"):
        parse_expiry(render_pem(b"\x30\x80" + content))


@given(st.binary(), st.integers(0, 400))
def test_any_other_content_is_a_value_error(data: bytes, cut: int) -> None:
    pem = make_certificate(datetime(2026, 1, 1, tzinfo=UTC)).certificate.encode()
    for content in (data, pem[:cut] + data + b"\n-----END CERTIFICATE-----"):
        with contextlib.suppress(ValueError):
            parse_expiry(content)
