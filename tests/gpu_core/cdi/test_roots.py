"""Host paths and mount paths of the driver root and the dev root."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.cdi.roots import discover_roots, join, rebase
from tests.roots.drivers.layout import lay_out

parts = st.lists(st.from_regex(r"[a-c]{1,2}", fullmatch=True), max_size=4)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("/driver-root/usr/lib", "/driver-root", "/", "/usr/lib"),
        ("/driver-root", "/driver-root", "/run/nvidia/driver", "/run/nvidia/driver"),
        ("/driver-root-2/usr/lib", "/driver-root", "/", None),
        ("/usr/lib", "/", "/run/nvidia/driver", "/run/nvidia/driver/usr/lib"),
        ("/usr/lib", "/driver-root", "/", None),
        ("/driver-root/", "/driver-root/", "/x/", "/x"),
    ],
)
def test_a_path_is_rebased_only_at_the_end_of_a_folder_name(
    path: str, old: str, new: str, expected: str | None
) -> None:
    assert rebase(path, old, new) == expected


@given(parts, parts, parts)
def test_rebasing_there_and_back_returns_the_original_path(old: list[str], new: list[str], inside: list[str]) -> None:
    roots = ["/" + "/".join(each) for each in (old, new)]
    path = join(roots[0], "/".join(inside))
    there = rebase(path, roots[0], roots[1])
    assert there == join(roots[1], "/".join(inside))
    assert rebase(there, roots[1], roots[0]) == path


@given(parts, parts, st.from_regex(r"[a-c]{1,2}", fullmatch=True))
def test_a_folder_that_shares_a_prefix_with_the_root_is_not_below_it(
    old: list[str], inside: list[str], more: str
) -> None:
    root = "/" + "/".join([*old, "root"])
    assert rebase("/".join([root + more, *inside]), root, "/x") is None


def nodes_below(root: Path) -> Path:
    lay_out(root, "/dev/nvidiactl node 195:255 666")
    return root


def test_a_driver_container_with_device_nodes_is_the_dev_root(tmp_path: Path) -> None:
    seen = nodes_below(tmp_path / "driver-root")
    roots = discover_roots("/run/nvidia/driver", None, seen)
    assert (roots.dev, roots.dev_mount) == ("/run/nvidia/driver", seen)
    assert roots.dev_path("/dev/nvidia0") == "/run/nvidia/driver/dev/nvidia0"
    assert roots.driver_path("/usr/lib64/libcuda.so.1") == "/run/nvidia/driver/usr/lib64/libcuda.so.1"


def test_without_device_nodes_below_the_driver_root_the_dev_root_is_the_hosts(tmp_path: Path) -> None:
    seen, own = tmp_path / "driver-root", nodes_below(tmp_path / "own")
    lay_out(seen, "/dev/null node 1:3 666")
    roots = discover_roots("/home/kubernetes/bin/nvidia", None, seen, own_root=own)
    assert (roots.dev, roots.dev_mount) == ("/", own)
    assert roots.dev_path("/dev/nvidia0") == "/dev/nvidia0"


def test_a_configured_dev_root_takes_precedence(tmp_path: Path) -> None:
    seen, own = nodes_below(tmp_path / "driver-root"), tmp_path / "own"
    roots = discover_roots("/run/nvidia/driver", "/", seen, own_root=own)
    assert (roots.dev, roots.dev_mount) == ("/", own)


def test_a_dev_root_inside_the_driver_root_uses_the_mount_of_the_driver_root(tmp_path: Path) -> None:
    seen = tmp_path / "driver-root"
    nodes_below(seen / "srv/nodes")
    roots = discover_roots("/", "/srv/nodes", seen, own_root=tmp_path)
    assert (roots.dev, roots.dev_mount) == ("/srv/nodes", seen / "srv/nodes")
    assert discover_roots("/", "/srv/none", seen, own_root=tmp_path).dev_mount == tmp_path


def test_a_driver_root_that_is_not_mounted_has_no_device_nodes(tmp_path: Path) -> None:
    assert discover_roots("/", None, tmp_path / "missing", own_root=tmp_path).dev_mount == tmp_path


def driver_at(mount: Path, folder: str, version: str) -> None:
    lay_out(mount, f"{folder}/usr/lib64/libnvidia-ml.so.{version} library x86_64")
    lay_out(mount, f"{folder}/usr/lib64/libnvidia-ml.so.1 -> libnvidia-ml.so.{version}")
    lay_out(mount, f"{folder}/dev/nvidiactl node 195:255 666")


CONTAINER = "/run/nvidia/driver"


def test_nodes_with_a_driver_of_their_own_and_with_a_driver_container_have_the_same_settings(tmp_path: Path) -> None:
    host, node = tmp_path / "host", tmp_path / "node"
    driver_at(host, "", "550.54.15")
    driver_at(node, CONTAINER, "570.124.06")
    roots = discover_roots("/", None, host)
    assert (roots.own, roots.own_mount, roots.dev, roots.dev_mount) == ("/", host, "/", host)
    roots = discover_roots("/", None, node)
    assert (roots.own, roots.dev) == (CONTAINER, CONTAINER)
    assert roots.own_mount == roots.dev_mount == node / CONTAINER.lstrip("/")


@pytest.mark.parametrize(
    ("loaded", "own"),
    [(None, CONTAINER), ("570.124.06", CONTAINER), ("550.54.15", "/"), ("535.1.1", CONTAINER)],
    ids=["unknown", "of the container", "of the host", "of neither"],
)
def test_of_two_drivers_the_loaded_one_counts_and_otherwise_that_of_the_container(
    loaded: str | None, own: str, tmp_path: Path
) -> None:
    driver_at(tmp_path, "", "550.54.15")
    driver_at(tmp_path, CONTAINER, "570.124.06")
    roots = discover_roots("/", None, tmp_path, loaded=loaded)
    assert (roots.own, roots.dev) == (own, own)


def test_the_driver_of_a_container_can_have_its_device_nodes_on_the_host(tmp_path: Path) -> None:
    driver_at(tmp_path, CONTAINER, "570.124.06")
    (tmp_path / "run/nvidia/driver/dev/nvidiactl").unlink()
    nodes_below(tmp_path)
    roots = discover_roots("/", None, tmp_path)
    assert (roots.own, roots.dev, roots.dev_mount) == (CONTAINER, "/", tmp_path)


def test_a_configured_dev_root_does_not_change_where_the_driver_is(tmp_path: Path) -> None:
    driver_at(tmp_path, CONTAINER, "570.124.06")
    roots = discover_roots("/", "/srv/nodes", tmp_path)
    assert (roots.own, roots.dev) == (CONTAINER, "/srv/nodes")
