"""The fingerprint of a set of pods. PURE. Source: the format `pfp0v001` of the project podfingerprint.

A scheduler computes the same fingerprint of the pods that it has bound to a node. If both are equal, the scheduler knows that the published
amounts contain all these pods.
"""

import struct
from collections.abc import Iterable

PREFIX = "pfp0v001"
_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def fingerprint(pods: Iterable[tuple[str, str]]) -> str:
    """Returns the fingerprint of the pods. pods: namespace and name, in any order."""
    hashes = sorted(xxh64(name.encode(), seed=xxh64(namespace.encode())) for namespace, name in pods)
    return f"{PREFIX}{xxh64(struct.pack(f'<{len(hashes)}Q', *hashes)):016x}"


def xxh64(content: bytes, *, seed: int = 0) -> int:
    """Returns the hash of 64 bits. Source: the specification of xxHash, XXH64."""
    striped = len(content) - len(content) % 32
    value = _stripes(content[:striped], seed) if striped else (seed + _P5) & _MASK
    return _avalanche(_rest(content[striped:], (value + len(content)) & _MASK))


def _stripes(content: bytes, seed: int) -> int:
    lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
    for words in struct.iter_unpack("<4Q", content):
        lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
    value = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    return value


def _rest(content: bytes, value: int) -> int:
    """Adds fewer than 32 bytes."""
    words = len(content) // 8
    for (word,) in struct.iter_unpack("<Q", content[: words * 8]):
        value = (_rotate(value ^ _round(0, word), 27) * _P1 + _P4) & _MASK
    content = content[words * 8 :]
    if len(content) >= 4:
        (half,) = struct.unpack_from("<I", content)
        value = (_rotate(value ^ (half * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        content = content[4:]
    for byte in content:
        value = _rotate(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    return value


def _avalanche(value: int) -> int:
    value = (value ^ (value >> 33)) * _P2 & _MASK
    value = (value ^ (value >> 29)) * _P3 & _MASK
    return value ^ (value >> 32)


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK
