"""Checks that the container runtime starts a container with a CDI device, and that the container has the paths of the device.

The container runs a Python program of the image of this agent, without privileges. It uses no memory of the GPU.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpu_core.domain.inventory import Inventory
from gpu_validator.cdi import CdiDevices, list_container_paths, select_names
from gpu_validator.check import Check, Name, failed, not_applicable, passed
from gpu_validator.sandbox import ContainerEnd, ContainerRun
from node_core.errors import KubeletError

SECONDS = 60.0
ATTEMPTS = 3
"""The kubelet removes sandboxes that it did not start, and may be faster than the container."""
NAME = "gpunode-validator"
LABELS: Mapping[str, str] = {"app.kubernetes.io/part-of": "gpunode", "gpunode.nvidia.com/validator": "container"}
"""Identify the sandboxes of this agent, also after it was killed."""
CONTAINER_LOCK = "validator-container.lock"
"""In --lock-dir: held while the container runs."""
FIRST_MISSING = 3
MAX_PATHS = 120
"""The statuses of missing paths are between those of Python (1, 2) and those of runtimes and signals (from 124)."""
PROGRAM = f"""
import os, sys
missing = [at for at, path in enumerate(sys.argv[1:]) if not os.path.exists(path)]
sys.exit({FIRST_MISSING} + missing[0] if missing else 0)
"""
"""The exit status states which path is missing, because nobody reads the output."""
KILLED = 137
REMEDY = "read the log of the container runtime; gpunode toolkit status shows whether it injects CDI devices"


def container_command(paths: tuple[str, ...], python: str = sys.executable) -> tuple[str, ...]:
    return (python, "-I", "-S", "-c", PROGRAM, *paths[:MAX_PATHS])


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCheck:
    """find_image: the image that has Python; None if unknown. run: raises KubeletError. python: the interpreter in the image."""

    find_image: Callable[[], str | None]
    run: Callable[[ContainerRun], ContainerEnd]
    python: str = sys.executable

    def check(self, inventory: Inventory, devices: CdiDevices | None, ids: frozenset[str]) -> Check:
        """devices: None if pods get GPUs without CDI. ids: the devices of the kubelet."""
        if devices is None:
            return not_applicable(Name.CONTAINER, "pods get their GPUs without CDI")
        names = [name for name in select_names(inventory, ids, devices.edits).values() if name is not None]
        name = min(names, default=None) or min(devices.edits)
        try:
            image = self.find_image()
            if image is None:
                return not_applicable(Name.CONTAINER, "the image of the agent is not known: set --container-image")
            paths = list_container_paths(devices, name)
            return self._start(f"{devices.kind}={name}", image, paths)
        except KubeletError as error:
            return failed(Name.CONTAINER, error.message, error.hint or REMEDY)

    def _start(self, device: str, image: str, paths: tuple[str, ...]) -> Check:
        run = ContainerRun(
            name=NAME,
            image=image,
            command=container_command(paths, self.python),
            devices=(device,),
            labels=LABELS,
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                end = self.run(run)
            except KubeletError:
                if attempt == ATTEMPTS:
                    raise
                continue
            if end.exit_code != KILLED:
                return judge(device, paths, end)
        return not_applicable(Name.CONTAINER, "the kubelet removed the container before its end")


def judge(device: str, paths: tuple[str, ...], end: ContainerEnd) -> Check:
    """PURE."""
    checked = paths[:MAX_PATHS]
    if end.exit_code == 0:
        return passed(Name.CONTAINER, f"a container started with {device}, and has its {len(checked)} paths")
    at = end.exit_code - FIRST_MISSING
    if 0 <= at < len(checked):
        return failed(Name.CONTAINER, f"a container with {device} lacks {checked[at]}", REMEDY)
    reason = f" ({end.reason})" if end.reason else ""
    return failed(Name.CONTAINER, f"a container with {device} ended with status {end.exit_code}{reason}", REMEDY)
