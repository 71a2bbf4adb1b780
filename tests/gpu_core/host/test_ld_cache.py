"""Parsing the dynamic linker's cache."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.ld_cache import parse_ld_cache
from tests.gpu_core.host.linker_cache import make_cache


def test_64_bit_libraries_are_read_from_both_cache_formats() -> None:
    entries = (
        (0x0303, "libcuda.so.1", "/x/libcuda.so.1"),
        (0x0003, "a.so", "/a"),
        (0x0A03, "libc.so.6", "/arm/libc.so.6"),
    )
    expected = [("x86_64", "libcuda.so.1", "/x/libcuda.so.1"), ("aarch64", "libc.so.6", "/arm/libc.so.6")]
    assert list(parse_ld_cache(make_cache(*entries))) == expected
    assert list(parse_ld_cache(make_cache(*entries, old=b"ld.so-1.7.0\0" + bytes(12)))) == expected


@pytest.mark.skipif(not Path("/etc/ld.so.cache").is_file(), reason="this machine has no glibc")
def test_the_cache_of_this_machine_contains_the_c_library() -> None:
    cache = list(parse_ld_cache(Path("/etc/ld.so.cache").read_bytes()))
    assert any(name == "libc.so.6" and Path(path).exists() for _, name, path in cache)


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=300), st.integers(min_value=0, max_value=2**32 - 1))
def test_a_broken_cache_can_be_parsed(noise: bytes, cut: int, count: int) -> None:
    good = make_cache((0x0303, "libcuda.so.1", "/x/libcuda.so.1"))
    list(parse_ld_cache(noise))
    assert len(list(parse_ld_cache(good[:cut] + noise))) <= 14
    list(parse_ld_cache(good[:20] + struct.pack("<I", count) + good[24:] + noise))
