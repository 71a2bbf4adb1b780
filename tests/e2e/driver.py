"""Something that looks like an installed NVIDIA driver: device nodes that are all /dev/null's, somebody else's libraries, and scripts."""

import os
import shutil
import stat
import sys
from pathlib import Path

from tests.device_plugin.mps.stand_in import SCRIPT as MPS_SCRIPT
from tests.e2e.cluster.image import shared_libraries
from tests.e2e.world import MPS_CONTROL

VERSION = "550.54.15"
CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
LIBRARIES = ("libcuda", "libnvidia-ml")
NULL = os.makedev(1, 3)
GPU_INSTANCES = 14
"""NVML's ids of GPU instances are below this."""
MODES = "/mps/compute-modes"
"""Where, in the plugin's container, the stand-in for nvidia-smi writes which compute modes were set."""
SMI = f"""#!/bin/sh
case "$*" in
  *--query-gpu=uuid,compute_mode*) echo "$2, Default" ;;
  *) echo "$@" >> {MODES} ;;
esac
"""


def make_driver(root: Path, gpus: int) -> None:
    """Below a folder that is not there yet. Needs root: device nodes are made."""
    capabilities = list(mig_minors(gpus).items())
    (root / "dev" / "nvidia-caps").mkdir(parents=True)
    for name in (
        *CONTROL,
        *(f"nvidia{minor}" for minor in range(gpus)),
        *(f"nvidia-caps/nvidia-cap{minor}" for _, minor in capabilities),
    ):
        os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, NULL)
        (root / "dev" / name).chmod(0o666)
    (root / "proc" / "driver" / "nvidia-caps").mkdir(parents=True)
    lines = (f"{name} {minor}\n" for name, minor in capabilities)
    (root / "proc" / "driver" / "nvidia-caps" / "mig-minors").write_text("".join(lines))
    _copy_libraries(root)
    for name, text in {MPS_CONTROL: MPS_SCRIPT, "nvidia-smi": SMI}.items():
        program = root / "usr" / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)


def driver_flags(root: str) -> tuple[str, ...]:
    """For the plugin, in whose container the host lies below /driver-root."""
    return f"--driver-root={root}", f"--driver-root-ctr-path=/driver-root{root}"


def mig_minors(gpus: int) -> dict[str, int]:
    """The capabilities of every MIG device that has the compute instance 0, as the driver names them."""
    instances = (f"gpu{gpu}/gi{instance}" for gpu in range(gpus) for instance in range(GPU_INSTANCES))
    names = (name for instance in instances for name in (f"{instance}/access", f"{instance}/ci0/access"))
    return {name: minor for minor, name in enumerate(names, start=3)}


def _copy_libraries(root: Path) -> None:
    folder = root / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        shutil.copyfile(min(shared_libraries([Path(sys.executable).resolve()])), folder / f"{name}.so.{VERSION}")
        (folder / f"{name}.so.1").symlink_to(f"{name}.so.{VERSION}")
