"""Host paths, paths that we see, and which is which."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.cdi.roots import Roots, find_hook, find_roots, join, rebase
from tests.roots.drivers.layout import lay_out, lay_out_tree

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
def test_a_path_is_mapped_where_a_folders_name_ends(path: str, old: str, new: str, expected: str | None) -> None:
    assert rebase(path, old, new) == expected


@given(parts, parts, parts)
def test_what_is_below_a_root_is_below_it_again_after_going_there_and_back(
    old: list[str], new: list[str], inside: list[str]
) -> None:
    roots = ["/" + "/".join(each) for each in (old, new)]
    path = join(roots[0], "/".join(inside))
    there = rebase(path, roots[0], roots[1])
    assert there == join(roots[1], "/".join(inside))
    assert rebase(there, roots[1], roots[0]) == path


@given(parts, parts, st.from_regex(r"[a-c]{1,2}", fullmatch=True))
def test_a_folder_whose_name_only_begins_like_the_root_is_not_below_it(
    old: list[str], inside: list[str], more: str
) -> None:
    root = "/" + "/".join([*old, "root"])
    assert rebase("/".join([root + more, *inside]), root, "/x") is None


def nodes_below(root: Path) -> Path:
    lay_out(root, "/dev/nvidiactl node 195:255 666")
    return root


def test_device_nodes_of_a_driver_container_are_its_own(tmp_path: Path) -> None:
    seen = nodes_below(tmp_path / "driver-root")
    roots = find_roots("/run/nvidia/driver", None, seen)
    assert (roots.dev, roots.dev_seen) == ("/run/nvidia/driver", seen)
    assert roots.dev_path("/dev/nvidia0") == "/run/nvidia/driver/dev/nvidia0"
    assert roots.driver_path("/usr/lib64/libcuda.so.1") == "/run/nvidia/driver/usr/lib64/libcuda.so.1"


def test_without_nodes_below_the_driver_root_they_are_the_hosts(tmp_path: Path) -> None:
    seen, own = tmp_path / "driver-root", nodes_below(tmp_path / "own")
    lay_out(seen, "/dev/null node 1:3 666")
    roots = find_roots("/home/kubernetes/bin/nvidia", None, seen, own=own)
    assert (roots.dev, roots.dev_seen) == ("/", own)
    assert roots.dev_path("/dev/nvidia0") == "/dev/nvidia0"


def test_a_dev_root_that_was_chosen_counts_even_if_the_driver_root_has_nodes(tmp_path: Path) -> None:
    seen, own = nodes_below(tmp_path / "driver-root"), tmp_path / "own"
    roots = find_roots("/run/nvidia/driver", "/", seen, own=own)
    assert (roots.dev, roots.dev_seen) == ("/", own)


def test_a_dev_root_inside_the_driver_root_is_looked_at_there(tmp_path: Path) -> None:
    seen = tmp_path / "driver-root"
    nodes_below(seen / "srv/nodes")
    roots = find_roots("/", "/srv/nodes", seen, own=tmp_path)
    assert (roots.dev, roots.dev_seen) == ("/srv/nodes", seen / "srv/nodes")
    assert find_roots("/", "/srv/none", seen, own=tmp_path).dev_seen == tmp_path


def test_a_driver_root_that_is_not_mounted_has_no_nodes(tmp_path: Path) -> None:
    assert find_roots("/", None, tmp_path / "missing", own=tmp_path).dev_seen == tmp_path


@pytest.mark.parametrize(
    ("driver", "chosen", "found"),
    [
        ("/", None, "/usr/bin/nvidia-ctk"),
        ("/", "/usr/bin/nvidia-ctk-2", None),
        ("/run/nvidia/driver", None, None),
        (
            "/run/nvidia/driver",
            "/usr/local/nvidia/toolkit/nvidia-cdi-hook",
            "/usr/local/nvidia/toolkit/nvidia-cdi-hook",
        ),
        ("/run/nvidia/driver", "/run/nvidia/driver/usr/bin/nvidia-ctk", "/run/nvidia/driver/usr/bin/nvidia-ctk"),
        ("/run/nvidia/driver", "/run/nvidia/driver/usr/bin/none", None),
        ("/usr", "/usr-2/bin/nvidia-ctk", "/usr-2/bin/nvidia-ctk"),
    ],
    ids=["there", "chosen and not there", "unseen", "chosen and unseen", "in the root", "not in the root", "beside it"],
)
def test_a_hook_is_used_where_it_is_or_where_somebody_says_so(
    driver: str, chosen: str | None, found: str | None, tmp_path: Path
) -> None:
    roots = Roots(driver=driver, driver_seen=lay_out_tree("debian", tmp_path))
    assert find_hook(chosen, roots) == found


def test_a_hooks_path_stays_the_hosts_where_the_driver_root_is_our_own() -> None:
    roots = Roots(driver="/run/nvidia/driver", driver_seen=Path("/"))
    assert find_hook("/opt/toolkit/nvidia-cdi-hook", roots) == "/opt/toolkit/nvidia-cdi-hook"
