"""Parses the dynamic linker's cache of library paths, /etc/ld.so.cache.

Source: glibc, the format "glibc-ld.so.cache1.1" of sysdeps/generic/dl-cache.h. A cache for older programs may come first and is skipped.
Offsets count from the start of the newer cache.
"""

import struct
from collections.abc import Iterator

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sII20x")
_ENTRY = struct.Struct("<iIIIQ")
_MACHINE_FLAGS = {0x0300: "x86_64", 0x0A00: "aarch64"}
_MAX_LIBRARIES = 100_000


def parse_ld_cache(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Yields machine (`x86_64`), name and path of each 64-bit library, in the cache's order. Ignores truncated and broken entries."""
    start = content.find(_MAGIC)
    cache = memoryview(content)[start:] if start >= 0 else memoryview(b"")
    if len(cache) < _HEADER.size:
        return
    _, count, _ = _HEADER.unpack_from(cache)
    fit = (len(cache) - _HEADER.size) // _ENTRY.size
    for number in range(min(count, fit, _MAX_LIBRARIES)):
        flags, name, path, _, _ = _ENTRY.unpack_from(cache, _HEADER.size + number * _ENTRY.size)
        machine = _MACHINE_FLAGS.get(flags & 0xFF00)
        if machine is not None:
            yield machine, _string(content, start + name), _string(content, start + path)


def _string(content: bytes, start: int) -> str:
    end = content.find(b"\0", start, start + 4096)
    return content[start:end].decode(errors="replace") if end > start else ""
