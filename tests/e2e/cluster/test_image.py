"""The content of the image of this tree."""

from importlib.metadata import distribution
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.cluster.archive import Entry, Image
from tests.e2e.cluster.image import (
    MAX_ARCHIVES,
    ROOT,
    cached_archive,
    locked_names,
    package_entries,
    parse_ldd,
    project_entries,
    python_entries,
)

IMAGE = Image(reference="example.local/a:e2e")

LDD = """/usr/bin/python3.11:
	linux-vdso.so.1 (0x00007ff7609b4000)
	libpython3.11.so.1.0 => /opt/python/lib/libpython3.11.so.1.0 (0x00007ff760200000)
	libgone.so.1 => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007ff7609b6000)
/opt/static:
	not a dynamic executable
"""


def by_path(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries}


def test_libraries_with_a_path_are_parsed() -> None:
    assert parse_ldd(LDD) == {Path("/opt/python/lib/libpython3.11.so.1.0"), Path("/lib64/ld-linux-x86-64.so.2")}


@given(st.text())
def test_any_output_of_ldd_can_be_parsed(text: str) -> None:
    assert all(path.is_absolute() for path in parse_ldd(text))


def test_the_image_contains_all_programs() -> None:
    entries = by_path(list(project_entries()))
    for script in distribution("gpunode").entry_points.select(group="console_scripts"):
        entry = entries[f"opt/gpunode/bin/{script.name}"]
        assert entry.executable
        assert isinstance(entry.content, bytes)
        assert f"from {script.module} import {script.attr}\n{script.attr}()" in entry.content.decode()


def test_the_image_contains_the_project_without_bytecode() -> None:
    paths = set(by_path(list(project_entries())))
    assert "opt/gpunode/lib/simulation/scenarios/h100.yaml" in paths or any("scenarios/" in path for path in paths)
    assert "opt/gpunode/lib/gfd/__main__.py" in paths
    assert not any("__pycache__" in path for path in paths)


def test_the_image_contains_only_locked_packages() -> None:
    paths = set(by_path(list(package_entries())))
    assert "opt/gpunode/lib/click/__init__.py" in paths
    assert not any(path.startswith("opt/gpunode/lib/pytest") for path in paths)


def test_the_names_of_locked_packages_are_parsed() -> None:
    lock = "# made by x==1\naiohttp==3.14 \\\n    --hash=sha256:0==\ngoogle-re2==1.1 ; sys_platform != 'win32' \\\n"
    assert locked_names(lock) == ["aiohttp", "google-re2"]
    assert "click" in locked_names((ROOT / "requirements.lock").read_text())


@pytest.mark.exhaustive
def test_the_image_contains_the_libraries_of_python() -> None:
    entries = by_path(list(python_entries()))
    assert any(path.endswith("/os.py") for path in entries)
    assert any("/ld-linux" in path for path in entries)
    assert not any("/site-packages/" in path or "/test/" in path for path in entries)


def test_an_archive_is_written_once_for_equal_content(tmp_path: Path) -> None:
    made = cached_archive(tmp_path, "a", (IMAGE,), [Entry(path="x", content=b"1"), Entry(path="y")])
    when = made.stat().st_mtime_ns
    assert cached_archive(tmp_path, "a", (IMAGE,), [Entry(path="y"), Entry(path="x", content=b"1")]) == made
    assert made.stat().st_mtime_ns == when


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(Entry(path="x", content=b"2"), id="content"),
        pytest.param(Entry(path="z", content=b"1"), id="path"),
        pytest.param(Entry(path="x", content=b"1", executable=True), id="mode"),
        pytest.param(Entry(path="x", link="1"), id="link"),
    ],
)
def test_different_content_has_a_different_archive(tmp_path: Path, entry: Entry) -> None:
    one = cached_archive(tmp_path, "a", (IMAGE,), [Entry(path="x", content=b"1")])
    assert cached_archive(tmp_path, "a", (IMAGE,), [entry]) != one


def test_only_the_newest_archives_of_a_name_are_retained(tmp_path: Path) -> None:
    other = cached_archive(tmp_path, "b", (IMAGE,), [])
    made = [cached_archive(tmp_path, "a", (IMAGE,), [Entry(path=str(number))]) for number in range(MAX_ARCHIVES + 2)]
    assert {path for path in other.parent.iterdir() if path.suffix == ".tar"} == {other, *made[2:]}
