"""Something that looks like an installed NVIDIA driver: device nodes that are all /dev/null's, and libraries that are somebody else's."""

import os
import shutil
import stat
import sys
from pathlib import Path

from tests.e2e.cluster.image import shared_libraries

VERSION = "550.54.15"
CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
LIBRARIES = ("libcuda", "libnvidia-ml")
NULL = os.makedev(1, 3)


def make_driver(root: Path, gpus: int) -> None:
    """Below a folder that is not there yet. Needs root: device nodes are made."""
    (root / "dev").mkdir(parents=True)
    for name in (*CONTROL, *(f"nvidia{minor}" for minor in range(gpus))):
        os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, NULL)
        (root / "dev" / name).chmod(0o666)
    folder = root / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        shutil.copyfile(min(shared_libraries([Path(sys.executable).resolve()])), folder / f"{name}.so.{VERSION}")
        (folder / f"{name}.so.1").symlink_to(f"{name}.so.{VERSION}")
