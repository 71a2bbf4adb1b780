"""The certificate of the simulated API server."""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

from simulation.apiserver.certificate import make_certificate


def test_openssl_accepts_the_certificate_and_the_key_as_a_pair(tmp_path: Path) -> None:
    path = tmp_path / "pair.pem"
    pair = make_certificate(datetime.now(UTC))
    path.write_text(pair.key + pair.certificate)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_each_certificate_has_a_new_key() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert make_certificate(now).key != make_certificate(now).key
    assert re.fullmatch(
        r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n", make_certificate(now).certificate
    )
