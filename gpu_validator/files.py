"""The files in /run/nvidia/validations, for which pods of others wait. Source: NVIDIA, README of the GPU Operator's validator.

A file exists only while its checks do not fail. The agent removes all of them at its start, because they may be from a process that was
killed, and at its end.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpu_validator.check import Name, Report
from node_core.host.atomic_write import write_atomically

FOLDER = Path("/run/nvidia/validations")
DRIVER = "driver-ready"
STAGES: Mapping[str, tuple[Name, ...]] = {
    DRIVER: (Name.DRIVER, Name.DEVICE_NODES),
    "toolkit-ready": (Name.DRIVER, Name.DEVICE_NODES, Name.CDI),
    "cuda-ready": (Name.DRIVER, Name.DEVICE_NODES, Name.CDI, Name.CUDA),
    "plugin-ready": (Name.DRIVER, Name.DEVICE_NODES, Name.CDI, Name.KUBELET, Name.SLICES, Name.CONTAINER),
}
"""File -> the checks that must not fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPlace:
    """Where the driver is. driver, dev: host paths. Upstream mounts the host at /host, and the driver's own folder at /driver-root."""

    driver: str = "/"
    dev: str = "/"

    def render(self) -> str:
        """Returns the lines of driver-ready, which shells read. PURE."""
        values = {
            "IS_HOST_DRIVER": str(self.driver == "/").lower(),
            "NVIDIA_DRIVER_ROOT": self.driver,
            "DRIVER_ROOT_CTR_PATH": _container_path(self.driver),
            "NVIDIA_DEV_ROOT": self.dev,
            "DEV_ROOT_CTR_PATH": _container_path(self.dev),
        }
        return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _container_path(root: str) -> str:
    return "/host" if root == "/" else "/driver-root"


def plan_files(report: Report, place: DriverPlace) -> dict[str, str]:
    """Returns name -> content of the files that must exist. PURE."""
    valid = (name for name, checks in STAGES.items() if report.is_valid(checks))
    return {name: place.render() if name == DRIVER else "" for name in valid}


def write_files(folder: Path, files: Mapping[str, str]) -> str | None:
    """Writes the files that differ, and removes the other files of STAGES. Returns why that is not possible, or None.

    Removes first: no pod of others may start because of a stage that is not valid any more.
    """
    try:
        for name in STAGES.keys() - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            if _read(folder / name) != content:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / name, content)
    except OSError as error:
        return f"{folder} cannot be updated: {error.strerror}"
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return None
