"""The certificate of the health server: problems are reported when the agent starts, not when a client connects."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.runtime.certificate_expiry import parse_expiry
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.process import health_server
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.values import replace
from simulation.apiserver.certificate import make_certificate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
YEAR = 365 * 86400.0


class Pair:
    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        made = make_certificate(NOW)
        self.certificate.write_text(made.certificate)
        self.key.write_text(made.key)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def other_key(pair: Pair) -> None:
    pair.key.write_text(make_certificate(NOW).key)


def fifo(pair: Pair) -> None:
    pair.key.unlink()
    os.mkfifo(pair.key)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda pair: pair.certificate.write_bytes(os.urandom(300)), "are not a certificate and its key in PEM format"),
        (lambda pair: pair.key.write_text(""), "are not a certificate and its key in PEM format"),
        (lambda pair: pair.key.unlink(), "tls.key does not exist"),
        (other_key, "does not belong to the certificate"),
        (fifo, "tls.key is not a regular file"),
    ],
    ids=["binary", "empty", "missing", "another key", "a FIFO"],
)
def test_a_certificate_that_cannot_be_used_is_reported_at_the_start(
    pair: Pair, spoil: Callable[[Pair], object], why: str
) -> None:
    spoil(pair)
    services = Services()
    common = CommonSettings(address="127.0.0.1:0", tls_certificate=pair.certificate, tls_key=pair.key)
    with capture_logs() as logs:
        health_server(common, services)
    (entry,) = (each for each in logs if each["event"] == "tls_certificate_unusable")
    assert why in entry["why"]
    assert why in (services.readiness.problems()["http/certificate"] or "")


def test_a_certificate_that_can_be_used_again_ends_the_problem(pair: Pair) -> None:
    reported: list[str | None] = []
    key = pair.key.read_text()
    files = CertificateFiles(pair.certificate, pair.key, report=reported.append, wall=NOW.timestamp)
    files.context()
    other_key(pair)
    files.context()
    pair.key.write_text(key + "\n")
    files.context()
    assert [each is None for each in reported] == [True, False, True]


def test_a_port_that_is_not_served_needs_no_certificate(pair: Pair) -> None:
    services = Services()
    pair.key.unlink()
    health_server(CommonSettings(address="", tls_certificate=pair.certificate, tls_key=pair.key), services)
    assert services.readiness.problems() == {}


def test_an_expired_certificate_is_a_warning_once_and_is_served(pair: Pair) -> None:
    now = [NOW.timestamp()]
    files = CertificateFiles(pair.certificate, pair.key, wall=lambda: now[0])
    with capture_logs() as logs:
        assert files.context() is not None
        now[0] = parse_expiry(pair.certificate.read_bytes())  # the last valid second: RFC 5280, section 4.1.2.5
        files.context()
        assert [entry["event"] for entry in logs] == ["tls_certificate_loaded"]
        now[0] += 1
        assert files.context() is not None
        files.context()
    assert [entry["event"] for entry in logs] == ["tls_certificate_loaded", "tls_certificate_expired"]


def test_a_certificate_that_has_expired_before_the_start_is_a_warning_at_the_start(pair: Pair) -> None:
    services = replace(Services(), wall=lambda: NOW.timestamp() + 2 * YEAR)
    with capture_logs() as logs:
        health_server(CommonSettings(address=":0", tls_certificate=pair.certificate, tls_key=pair.key), services)
    assert logs[-1]["event"] == "tls_certificate_expired"
    assert logs[-1]["log_level"] == "warning"
