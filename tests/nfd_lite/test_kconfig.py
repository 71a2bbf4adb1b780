"""The build options of the kernel."""

import gzip
from pathlib import Path

import pytest

from nfd_lite.kconfig import Kconfig, kconfig_paths, parse_kconfig, read_kconfig
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

RELEASE = "6.8.0-45-generic"


def put(root: Path, path: str, content: bytes) -> None:
    (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    (root / path.lstrip("/")).write_bytes(content)


def options_of(found: Kconfig | None) -> dict[str, str]:
    assert found is not None
    return dict(found.options)


def test_options_have_no_prefix_and_no_quotes() -> None:
    content = b'# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="a b=c"\nOTHER=y\nCONFIG_D\n\nCONFIG_E=""\n'
    assert parse_kconfig(content) == {"B": "y", "C": "a b=c", "E": ""}


def test_the_configured_file_comes_first_and_then_the_preferred_path(tmp_path: Path) -> None:
    root = HostRoot(tmp_path)
    for index, path in reversed(list(enumerate(kconfig_paths(RELEASE, "/my/config.gz")))):
        text = f"CONFIG_PLACE={index}\n".encode()
        put(tmp_path, path, gzip.compress(text) if path.endswith(".gz") else text)
        assert options_of(read_kconfig(root, RELEASE, "/my/config.gz")) == {"PLACE": str(index)}


def test_if_a_file_cannot_be_read_the_next_file_is_read(tmp_path: Path) -> None:
    put(tmp_path, "/proc/config.gz", b"not gzip")
    (tmp_path / f"usr/lib/modules/{RELEASE}/config").mkdir(parents=True)
    with pytest.raises(HostReadError, match=r"not a gzip file.*cannot read"):
        read_kconfig(HostRoot(tmp_path), RELEASE)
    put(tmp_path, f"/boot/config-{RELEASE}", b"CONFIG_X=m\n")
    assert options_of(read_kconfig(HostRoot(tmp_path), RELEASE)) == {"X": "m"}


def test_unpacking_a_small_file_with_huge_content_stops_at_the_limit(tmp_path: Path) -> None:
    put(tmp_path, "/proc/config.gz", gzip.compress(b"CONFIG_X=y\n" + b"#" * (64 << 20)))
    assert options_of(read_kconfig(HostRoot(tmp_path), RELEASE)) == {"X": "y"}


def test_a_missing_file_is_not_an_error(tmp_path: Path) -> None:
    assert read_kconfig(HostRoot(tmp_path), RELEASE) is None
