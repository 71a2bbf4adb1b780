"""Builds a cache of the dynamic linker."""

import struct


def make_cache(*entries: tuple[int, str, str], old: bytes = b"") -> bytes:
    """A cache in the format of ldconfig. entries: flags, name and path of each library."""
    strings, rows = b"", b""
    start = 48 + 24 * len(entries)
    for flags, name, path in entries:
        where = start + len(strings)
        strings += f"{name}\0{path}\0".encode()
        rows += struct.pack("<iIIIQ", flags, where, where + len(name) + 1, 0, 0)
    return old + struct.pack("<20sII20x", b"glibc-ld.so.cache1.1", len(entries), len(strings)) + rows + strings
