"""Finds the programs of the driver that MPS needs, and the MPS root."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpu_core.cdi.roots import Roots
from gpu_core.host.driver_files import DriverFiles
from gpu_core.host.nvidia_smi import SMI, NvidiaSmi
from gpu_core.mps.apply import MpsTools
from gpu_core.mps.compute_mode import SmiComputeModes
from gpu_core.mps.control import PROGRAM, MpsControl
from gpu_core.mps.spec import MPS_MOUNT


class DriverPrograms(msgspec.Struct, frozen=True, kw_only=True):
    """paths: name to path of the MPS control program and nvidia-smi. libraries: a loader path for them."""

    paths: Mapping[str, Path] = msgspec.field(default_factory=dict)
    libraries: str | None = None

    @property
    def smi(self) -> NvidiaSmi:
        return NvidiaSmi(self._find(SMI), self.libraries)

    @property
    def control(self) -> MpsControl:
        return MpsControl(self._find(PROGRAM), self.libraries)

    def _find(self, name: str) -> Path | None:
        """Returns the program below the driver root, or in PATH."""
        found = self.paths.get(name) or shutil.which(name)
        return Path(found) if found else None


def find_programs(roots: Roots, driver: DriverFiles) -> DriverPrograms:
    paths = {Path(file.path).name: file.path for file in driver.binaries}
    folders = dict.fromkeys(str((roots.driver_mount / each.path.lstrip("/")).parent) for each in driver.libraries)
    return DriverPrograms(
        paths={name: roots.driver_mount / path.lstrip("/") for name, path in paths.items() if name in (PROGRAM, SMI)},
        libraries=":".join(folders) or None,
    )


def mps_root(host_root: str | None) -> Path:
    """Returns the MPS root in this process. host_root: on the host. In pods the root is mounted at MPS_MOUNT."""
    mount = Path(MPS_MOUNT)
    return mount if mount.is_dir() else Path(host_root or MPS_MOUNT)


def mps_tools(host_root: str | None, programs: DriverPrograms) -> MpsTools:
    return MpsTools(
        root=mps_root(host_root),
        control=programs.control,
        modes=SmiComputeModes(programs.smi),
        has_selinux=Path("/sys/fs/selinux/enforce").exists(),
    )
