"""The end of a certificate's validity, compared with the library that made the certificate."""

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


@given(st.binary(), st.integers(0, 400))
def test_any_other_content_is_a_value_error(data: bytes, cut: int) -> None:
    pem = make_certificate(datetime(2026, 1, 1, tzinfo=UTC)).certificate.encode()
    for content in (data, pem[:cut] + data + b"\n-----END CERTIFICATE-----"):
        with contextlib.suppress(ValueError):
            parse_expiry(content)
