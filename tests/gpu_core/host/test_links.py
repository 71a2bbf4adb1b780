"""Resolving links in a root whose content is not trusted."""

import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.driver_libraries import locate_driver
from gpu_core.host.links import resolve_inside
from tests.roots.drivers.layout import lay_out, lay_out_all


def resolve(root: Path, inside: str) -> Path | None:
    return resolve_inside(root, PurePosixPath(inside))


@pytest.mark.parametrize(
    "target", ["../../../host/{name}", "{host}/{name}", "/../host/{name}", "deep/../../../../host/{name}"]
)
def test_a_link_that_leaves_the_root_is_refused(target: str, tmp_path: Path) -> None:
    host, root, name = tmp_path / "host", tmp_path / "root", "libcuda.so.550.54.15"
    lay_out_all(host, f"/{name} library x86_64", "/shadow = secret")
    link = target.format(host=host, name=name)
    lay_out_all(root, f"/usr/lib64/libcuda.so.1 -> {link}", "/usr/lib64/deep/")
    assert resolve(root, "usr/lib64/libcuda.so.1") is None
    assert locate_driver(root) is None


def test_a_link_that_leaves_the_root_is_refused_even_if_it_returns(tmp_path: Path) -> None:
    lay_out_all(tmp_path, "/lib64/there = ", "/a/climbs -> ../../lib64/there", "/a/stays -> ../lib64/there")
    assert resolve(tmp_path, "a/climbs") is None
    assert resolve(tmp_path, "a/stays") == tmp_path / "lib64/there"


def test_absolute_links_start_at_the_root(tmp_path: Path) -> None:
    lay_out_all(tmp_path, "/a -> /b/c", "/b -> /d", "/d/c/there = ", "/d/up -> ../a")
    assert resolve(tmp_path, "a/there") == tmp_path / "d/c/there"
    assert resolve(tmp_path, "b/up/there") == tmp_path / "d/c/there"
    assert resolve(tmp_path, "a/missing") is None


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "\udcff"], ids=["null byte", "long", "no text"])
def test_an_impossible_path_is_none(path: str, tmp_path: Path) -> None:
    assert resolve(tmp_path, path) is None


@pytest.mark.parametrize(("links", "found"), [(40, True), (41, False)])
def test_at_most_forty_links_are_followed(links: int, found: bool, tmp_path: Path) -> None:
    lay_out(tmp_path, "/link0 = ")
    for number in range(links):
        lay_out(tmp_path, f"/link{number + 1} -> link{number}")
    assert (resolve(tmp_path, f"link{links}") is not None) == found


@given(st.lists(st.sampled_from(["a", "b", "c", "..", "l", "m", "n"]), max_size=12))
def test_no_path_leads_out_of_a_root(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        lay_out_all(root, "/a/b/c/", "/a/l -> /a/b", "/a/b/m -> ../../..", "/l -> a/b/c", "/m -> /a/../a", "/n -> /n")
        found = resolve_inside(root, PurePosixPath(*parts))
        assert found is None or (found.is_relative_to(root) and ".." not in found.parts)
        assert found is None or not any(part.is_symlink() for part in (found, *found.parents) if part != root)
