"""Reads the end of the validity of an X.509 certificate. Source: RFC 5280, section 4.1. PURE."""

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17


def parse_expiry(pem: bytes) -> float:
    """Returns when the first certificate of a PEM file expires, in Unix seconds. Raises ValueError."""
    block = _PEM.search(pem)
    if block is None:
        raise ValueError("the file contains no certificate")
    try:
        der = base64.b64decode(block[1])
        tbs = _children(_children(_children(der)[0][1])[0][1])
        fields = tbs[1:] if tbs[0][0] == _VERSION else tbs
        (kind, content) = _children(fields[3][1])[1]  # after serial number, algorithm and issuer
        text = content.decode("ascii")
        form = "%y%m%d%H%M%SZ" if kind == _UTC_TIME else "%Y%m%d%H%M%SZ"
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    except (IndexError, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("the certificate cannot be parsed") from error


def _children(data: bytes) -> list[tuple[int, bytes]]:
    """Splits DER into tags and contents. Raises IndexError for data that ends early."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length >= 0x80:
            count = length - 0x80
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise IndexError(at + length)
        found.append((tag, data[at : at + length]))
        at += length
    return found
