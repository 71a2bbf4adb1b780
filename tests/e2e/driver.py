"""A fake installation of the NVIDIA driver: device nodes that behave as /dev/null, copies of other libraries, and scripts."""

import os
import shutil
import stat
import sys
from pathlib import Path

from tests.e2e.cluster.image import shared_libraries
from tests.e2e.world import MPS_CONTROL
from tests.gpu_core.mps.fake_program import SCRIPT as MPS_SCRIPT

VERSION = "550.54.15"
CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
LIBRARIES = ("libcuda", "libnvidia-ml")
NULL = os.makedev(1, 3)
GPU_INSTANCES = 14
"""NVML's GPU instance IDs are less than this number."""
MODES = "/mps/compute-modes"
"""The file in the plugin's container in which the fake nvidia-smi records compute modes."""
SMI = f"""#!/bin/sh
case "$*" in
  *--query-gpu=uuid,compute_mode*) echo "$2, Default" ;;
  *) echo "$@" >> {MODES} ;;
esac
"""


def make_driver(root: Path, gpus: int) -> None:
    """Creates the folder `root` with the driver. Needs root to create device nodes."""
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
    """The flags of the plugin, which has the host mounted at /driver-root."""
    return f"--driver-root={root}", f"--driver-root-ctr-path=/driver-root{root}"


def mig_minors(gpus: int) -> dict[str, int]:
    """The minor number of each MIG capability, for compute instance 0 of every GPU instance. Names as in the driver's file mig-minors."""
    instances = (f"gpu{gpu}/gi{instance}" for gpu in range(gpus) for instance in range(GPU_INSTANCES))
    names = (name for instance in instances for name in (f"{instance}/access", f"{instance}/ci0/access"))
    return {name: minor for minor, name in enumerate(names, start=3)}


def _copy_libraries(root: Path) -> None:
    folder = root / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        shutil.copyfile(min(shared_libraries([Path(sys.executable).resolve()])), folder / f"{name}.so.{VERSION}")
        (folder / f"{name}.so.1").symlink_to(f"{name}.so.{VERSION}")
