"""Certificates for Kubernetes."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.e2e.cluster.pki import Authority, KeyPair, signing_key

NOW = datetime(2026, 5, 4, tzinfo=UTC)
AUTHORITY = Authority(NOW)


def load(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(AUTHORITY.client("me", "mine"), id="client"),
        pytest.param(AUTHORITY.server("server", ("localhost", "127.0.0.1")), id="server"),
    ],
)
def test_a_certificate_matches_its_authority_and_its_key(pair: KeyPair) -> None:
    certificate = load(pair)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(AUTHORITY.certificate.encode()))
    assert load_pem_private_key(pair.key.encode(), None).public_key() == certificate.public_key()
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)


@pytest.mark.parametrize("group", ["system:nodes", None], ids=["with a group", "without"])
def test_a_client_certificate_contains_the_user_and_the_group(group: str | None) -> None:
    certificate = load(AUTHORITY.client("system:node:a", group))
    names = {part.oid: part.value for part in certificate.subject}
    expected = {NameOID.COMMON_NAME: "system:node:a"} | ({NameOID.ORGANIZATION_NAME: group} if group else {})
    assert names == expected
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_server_certificate_contains_names_and_addresses() -> None:
    certificate = load(AUTHORITY.server("api", ("kubernetes.default.svc", "10.96.0.1")))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default.svc"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.96.0.1"]


def test_only_the_authority_may_sign() -> None:
    authority = x509.load_pem_x509_certificate(AUTHORITY.certificate.encode())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        load(AUTHORITY.client("me")).extensions.get_extension_for_class(x509.BasicConstraints)


def test_two_clusters_have_different_keys() -> None:
    assert Authority(NOW).certificate != AUTHORITY.certificate
    assert signing_key() != signing_key()
