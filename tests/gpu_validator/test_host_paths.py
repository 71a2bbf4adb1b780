"""Paths of the host in a container."""

import os
from pathlib import Path

import pytest

from gpu_core.host.device_nodes import HostNode
from gpu_validator.host_paths import HostPaths, Mount


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    """A driver root at /run/nvidia/driver, and /dev of the host."""
    library = tmp_path / "driver" / "usr" / "lib"
    library.mkdir(parents=True)
    (library / "libcuda.so.550").touch()
    (library / "libcuda.so.1").symlink_to("/usr/lib/libcuda.so.550")
    (library / "broken.so").symlink_to("/usr/lib/missing")
    (library / "out.so").symlink_to("../../../../outside")
    (tmp_path / "outside").touch()
    return HostPaths(
        mounts=(Mount(host="/dev", here=Path("/dev")), Mount(host="/run/nvidia/driver", here=tmp_path / "driver"))
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/run/nvidia/driver/usr/lib/libcuda.so.550", True),
        ("/run/nvidia/driver/usr/lib/libcuda.so.1", True),
        ("/run/nvidia/driver/usr/lib/broken.so", False),
        ("/run/nvidia/driver/usr/lib/out.so", False),
        ("/run/nvidia/driver/usr/lib/absent.so", False),
        ("/run/nvidia/driver-2/usr/lib/libcuda.so.550", None),
        ("/usr/bin/nvidia-ctk", None),
        ("/dev/absent", False),
    ],
)
def test_a_path_exists_is_missing_or_is_not_visible(path: str, found: bool | None, paths: HostPaths) -> None:
    assert paths.examine(path) == found


def test_a_device_has_its_numbers(paths: HostPaths) -> None:
    node = paths.examine("/dev/null")
    assert isinstance(node, HostNode)
    assert (node.major, node.minor) == (os.major(Path("/dev/null").stat().st_rdev), 3)
