"""Runs a kernel on each GPU or MIG device that nobody uses, in a process of its own, and removes no device from the kubelet.

A pod that gets the GPU meanwhile shares it for the second that the kernel takes, so GPUs that only one process may use are left out.
"""

import os
import subprocess  # nosec B404 # our own program
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.nvml.api import Nvml, OpenNvml
from gpu_core.nvml.queries import GpuQueries
from gpu_core.nvml.usage import list_processes
from gpu_core.pods.device_names import DeviceKey, name_devices
from gpu_validator.check import Check, Name, failed, not_applicable, passed
from node_core.errors import NvmlError
from node_core.kubelet.podresources import PodDevices

PROGRAM = Path(__file__).with_name("vector_add.py")
COMMAND = (sys.executable, "-I", "-S", str(PROGRAM))
SECONDS = 30.0
"""The limit of one kernel. The first use of a GPU without the persistence daemon takes several seconds."""
TOTAL_SECONDS = 120.0
"""No kernel starts later than this time after the first one."""
KILL_SECONDS = 2.0
"""A process in the kernel (state D) does not end by SIGKILL. After this time nobody waits for the process any more."""
MAX_OUTPUT = 300
REMEDY = "check the kernel log for NVRM and Xid lines, and run nvidia-smi on the node"
NOT_READY = "SYSTEM_NOT_READY"
"""The part of the name of CUDA's error if the fabric of NVSwitches is not set up. Source: CUDA Driver API, CUresult."""
START_FABRIC = "start nvidia-fabricmanager of the driver's version, which GPUs with NVSwitches need, and read its log"
INHERITED = ("PATH", "GPUNODE_CUDA_SCENARIO")
"""Variables of the agent that the program also has. The second one is for the library of the tests."""
PASSED = "passed"
NOT_RUN = "not run: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device for a kernel. uuid: for CUDA_VISIBLE_DEVICES. name: for people."""

    uuid: str
    key: DeviceKey
    name: str


def list_targets(gpus: Iterable[Gpu]) -> Iterator[Target]:
    """Yields each GPU, and each MIG device of a GPU in MIG mode. PURE."""
    for gpu in gpus:
        if not gpu.mig_enabled:
            yield Target(uuid=gpu.uuid, key=DeviceKey(gpu.uuid, None), name=gpu.name)
        for mig in gpu.mig_devices:
            yield Target(uuid=mig.uuid, key=DeviceKey(gpu.uuid, mig.gpu_instance), name=f"MIG device {mig.uuid}")


def find_used(gpus: Sequence[Gpu], pods: Iterable[PodDevices]) -> frozenset[DeviceKey]:
    """Returns the devices that pods have, by the kubelet. PURE."""
    names = name_devices(gpus)
    containers = [container for pod in pods for container in pod.containers]
    found = [names.find(id_) for each in containers for id_ in each.devices]
    found += [names.find_claimed(device) for each in containers for device in each.claimed]
    return frozenset(key for key in found if key is not None)


def find_busy(nvml: Nvml, gpus: Iterable[Gpu]) -> frozenset[DeviceKey]:
    """Returns the devices that processes use. NVML shows them only in the PID namespace of the host."""
    found: set[DeviceKey] = set()
    for gpu in gpus:
        with suppress(NvmlError):
            device = nvml.device_get_handle_by_uuid(gpu.uuid)
            for process in list_processes(nvml, device, GpuQueries()) or ():
                found.add(DeviceKey(gpu.uuid, process.gpu_instance if gpu.mig_enabled else None))
    return frozenset(found)


@dataclass(slots=True, kw_only=True)
class KernelRunner:
    """Runs the program vector_add."""

    command: Sequence[str] = COMMAND
    seconds: float = SECONDS
    kill_seconds: float = KILL_SECONDS
    _hanging: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    def run(self, uuid: str, library: str, root: str | None = None) -> str:
        """Returns the line of the program, or why there is none. While a killed process of a device has not ended, no other one starts."""
        before = self._hanging.get(uuid)
        if before is not None and before.poll() is None:
            return "failed: an earlier kernel still hangs in the driver"
        self._hanging.pop(uuid, None)
        try:
            process = subprocess.Popen(  # nosec B603 # no shell
                [*self.command, library, *([root] if root else [])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=render_environment(uuid, library),
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            return f"failed: the program cannot be started: {error.strerror}"
        return self._wait(uuid, process)

    def _wait(self, uuid: str, process: "subprocess.Popen[str]") -> str:
        try:
            output, _ = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            self._kill(uuid, process)
            return f"failed: the kernel has not ended after {self.seconds:.0f} s"
        if process.returncode < 0:
            return f"failed: the driver ended the program by signal {-process.returncode}"
        line = output.strip().rpartition("\n")[2][:MAX_OUTPUT]
        return (
            line if process.returncode == 0 and line else f"failed: the program ended with status {process.returncode}"
        )

    def _kill(self, uuid: str, process: "subprocess.Popen[str]") -> None:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        try:
            process.wait(self.kill_seconds)
        except subprocess.TimeoutExpired:
            self._hanging[uuid] = process


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCheck:
    """open_nvml: for the processes. list_pods: raises KubeletError; None on a machine without a kubelet.

    find_driver: returns libcuda.so.1, and the root for vector_add or None. run: see KernelRunner.
    """

    open_nvml: OpenNvml
    list_pods: Callable[[], Collection[PodDevices]] | None
    find_driver: Callable[[], tuple[str, str | None]]
    run: Callable[[str, str, str | None], str]
    clock: Callable[[], float]

    def check(self, inventory: Inventory) -> Check:
        """Raises KubeletError if the pods with GPUs are not known, and NvmlError."""
        if inventory.simulated:
            return not_applicable(Name.CUDA, "the GPUs are simulated")
        targets = tuple(list_targets(inventory.gpus))
        with self.open_nvml() as nvml:  # open while kernels run, so that a release request waits for their end
            used = self._find_pods(inventory.gpus) | find_busy(nvml, inventory.gpus)
            lines = self._run_all([each for each in targets if each.key not in used])
        if any(map(is_failure, lines.values())):  # a pod that came meanwhile can be the reason
            late = self._find_pods(inventory.gpus)
            lines = {target: line for target, line in lines.items() if not (is_failure(line) and target.key in late)}
        return judge(targets, used, lines)

    def _run_all(self, targets: Sequence[Target]) -> dict[Target, str]:
        library, root = self.find_driver()
        ends = self.clock() + TOTAL_SECONDS
        lines: dict[Target, str] = {}
        for target in targets:
            if self.clock() > ends:
                break
            lines[target] = self.run(target.uuid, library, root)
        return lines

    def _find_pods(self, gpus: Sequence[Gpu]) -> frozenset[DeviceKey]:
        return frozenset() if self.list_pods is None else find_used(gpus, self.list_pods())


def is_failure(line: str) -> bool:
    return line != PASSED and not line.startswith(NOT_RUN)


def judge(targets: Sequence[Target], used: Collection[DeviceKey], lines: Mapping[Target, str]) -> Check:
    """lines: the results of the targets that ran. PURE."""
    failures = {target: line for target, line in lines.items() if is_failure(line)}
    if failures:
        target, line = next(iter(failures.items()))
        remedy = START_FABRIC if NOT_READY in line else REMEDY
        return failed(Name.CUDA, f"{target.name}: {line.removeprefix('failed: ')}", remedy)
    count = sum(line == PASSED for line in lines.values())
    if count:
        return passed(Name.CUDA, f"{count} of {len(targets)} devices added two vectors")
    if not targets:
        return not_applicable(Name.CUDA, "no GPU instance exists")
    why = next((line.removeprefix(NOT_RUN) for line in lines.values()), None)
    if why is None or all(each.key in used for each in targets):
        return not_applicable(Name.CUDA, "every GPU is in use")
    return not_applicable(Name.CUDA, f"no GPU could be used: {why}")


def render_environment(uuid: str, library: str) -> dict[str, str]:
    """Returns the environment of the program. The driver loads its compiler from the folder of libcuda. A test library has a scenario."""
    folders = {"LD_LIBRARY_PATH": str(Path(library).parent)} if "/" in library else {}
    given = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**given, **folders, "CUDA_CACHE_DISABLE": "1", "CUDA_VISIBLE_DEVICES": uuid}
