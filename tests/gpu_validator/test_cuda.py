"""Which devices run a kernel, and what the results mean. tests/cuda runs kernels."""

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import pytest

from gpu_core.domain.inventory import Inventory
from gpu_core.domain.usage import RunningProcess
from gpu_validator.check import Check, Verdict
from gpu_validator.cuda import START_FABRIC, TOTAL_SECONDS, KernelCheck, KernelRunner, render_environment
from node_core.errors import NvmlError
from node_core.kubelet.podresources import ClaimedDevice, PodDevices
from node_core.values import replace
from tests.gpu_core.pods.nodes import pod
from tests.gpu_validator.nodes import gpu, inventory, mig

FOUND = inventory()
FIRST, SECOND = (each.uuid for each in FOUND.gpus)


class Nvml:
    """processes: UUID of a GPU -> the GPU instances of its processes."""

    def __init__(self, **processes: Any) -> None:
        self.processes = processes

    def device_get_handle_by_uuid(self, uuid: str) -> str:
        return uuid

    def device_get_compute_running_processes(self, device: str) -> tuple[RunningProcess, ...]:
        instances = self.processes.get(device, ())
        if instances is None:
            raise NvmlError("nvmlDeviceGetComputeRunningProcesses", "NO_PERMISSION")
        return tuple(RunningProcess(pid=7, memory=1, gpu_instance=each) for each in instances)

    device_get_mps_compute_running_processes = device_get_graphics_running_processes = lambda *_: ()


class Bench:
    """lines: UUID -> the line of the program. ran: the UUIDs, in their order."""

    def __init__(
        self, *pods: PodDevices, nvml: Nvml | None = None, lines: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.pods: Collection[PodDevices] = pods
        self.nvml, self.lines, self.ran = nvml or Nvml(), lines, list[str]()
        self.now = 0.0

    def run(self, uuid: str, library: str, root: str | None) -> str:
        assert (library, root) == ("/lib/libcuda.so.1", None)
        self.ran.append(uuid)
        self.now += 70.0
        return self.lines.get(uuid, "passed")

    def check(self, found: Inventory = FOUND) -> Check:
        nvml: Any = self.nvml
        kernels = KernelCheck(
            open_nvml=lambda: nullcontext(nvml),
            list_pods=lambda: self.pods,
            find_driver=lambda: ("/lib/libcuda.so.1", None),
            run=self.run,
            clock=lambda: self.now,
        )
        return kernels.check(found)


def test_every_device_that_nobody_uses_runs_a_kernel() -> None:
    bench = Bench()
    assert bench.check().sentence == "2 of 2 devices added two vectors"
    assert bench.ran == [FIRST, SECOND]


def test_the_devices_of_pods_and_of_processes_are_left_alone() -> None:
    bench = Bench(pod("a", f"{FIRST}::1"))
    assert bench.check().sentence == "1 of 2 devices added two vectors"
    assert bench.ran == [SECOND]
    bench = Bench(
        pod("a", claimed=(ClaimedDevice(cdi=(f"k8s.gpu.nvidia.com/claim={FIRST}",)),)), nvml=Nvml(**{SECOND: [None]})
    )
    check = bench.check()
    assert (check.verdict, check.sentence, bench.ran) == (Verdict.NOT_APPLICABLE, "every GPU is in use", [])


def test_in_mig_mode_a_kernel_runs_on_instances_without_a_user() -> None:
    found = inventory(gpu(0, mig(1), mig(2), mig(3)))
    uuids = [each.uuid for each in found.gpus[0].mig_devices]
    bench = Bench(pod("a", uuids[0]), nvml=Nvml(**{found.gpus[0].uuid: [2]}))
    bench.check(found)
    assert bench.ran == uuids[2:]


def test_a_gpu_in_mig_mode_without_devices_has_nothing_to_check() -> None:
    empty = replace(gpu(0), mig_enabled=True)
    assert Bench().check(inventory(empty)).sentence == "no GPU instance exists"


def test_processes_that_nvml_does_not_list_prevent_no_kernel() -> None:
    assert Bench(nvml=Nvml(**{FIRST: None})).check().verdict is Verdict.PASSED


def test_a_failure_names_the_gpu_and_states_what_to_do() -> None:
    check = Bench(lines={SECOND: "failed: cuInit returned UNKNOWN"}).check()
    assert (check.verdict, check.sentence) == (Verdict.FAILED, f"GPU 1 ({SECOND}): cuInit returned UNKNOWN")
    assert check.remedy


def test_without_the_fabric_manager_no_container_can_use_cuda() -> None:
    check = Bench(lines=dict.fromkeys((FIRST, SECOND), "failed: cuInit returned SYSTEM_NOT_READY")).check()
    assert (check.verdict, check.remedy) == (Verdict.FAILED, START_FABRIC)


def test_an_empty_line_is_a_failure() -> None:
    assert Bench(lines={SECOND: "?"}).check().verdict is Verdict.FAILED


def test_a_failure_on_a_gpu_that_a_pod_got_meanwhile_does_not_count() -> None:
    bench = Bench(lines={FIRST: "failed: cuMemAlloc_v2 returned OUT_OF_MEMORY"})
    original = bench.run

    def run(uuid: str, library: str, root: str | None) -> str:
        bench.pods = (pod("late", FIRST),)
        return original(uuid, library, root)

    bench.run = run  # type: ignore[method-assign]
    assert bench.check().sentence == "1 of 2 devices added two vectors"


def test_gpus_that_only_one_process_may_use_are_left_out() -> None:
    check = Bench(lines=dict.fromkeys((FIRST, SECOND), "not run: its compute mode is exclusive")).check()
    assert (check.verdict, check.sentence) == (
        Verdict.NOT_APPLICABLE,
        "no GPU could be used: its compute mode is exclusive",
    )


def test_no_kernel_starts_after_the_limit_of_all() -> None:
    bench = Bench()
    bench.check(inventory(*map(gpu, range(9))))
    assert len(bench.ran) == TOTAL_SECONDS // 70 + 1


def test_simulated_gpus_run_no_kernel() -> None:
    bench = Bench()
    assert bench.check(inventory(simulated=True)).verdict is Verdict.NOT_APPLICABLE
    assert bench.ran == []


def test_the_program_sees_one_device_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    environment = render_environment("GPU-1", "/driver/lib/libcuda.so.1")
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["LD_LIBRARY_PATH"]) == ("GPU-1", "/driver/lib")
    assert "SECRET" not in environment
    assert "LD_LIBRARY_PATH" not in render_environment("GPU-1", "libcuda.so.1")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("sh", "-c", "echo a; echo passed"), "passed"),
        (("sh", "-c", "exit 3"), "failed: the program ended with status 3"),
        (("true",), "failed: the program ended with status 0"),
        (("sh", "-c", "kill -9 $$"), "failed: the driver ended the program by signal 9"),
        (("/missing",), "failed: the program cannot be started: No such file or directory"),
    ],
    ids=["last line", "status", "nothing", "signal", "no program"],
)
def test_how_the_program_ends(command: tuple[str, ...], line: str) -> None:
    assert KernelRunner(command=command).run("GPU-1", "libcuda.so.1") == line


def test_a_program_that_does_not_end_by_sigkill_prevents_the_next_one_on_its_device() -> None:
    class Hanging:
        def poll(self) -> None: ...

    runner = KernelRunner(command=("true",))
    process: Any = Hanging()
    runner._hanging["GPU-1"] = process
    assert runner.run("GPU-1", "libcuda.so.1") == "failed: an earlier kernel still hangs in the driver"
    assert runner.run("GPU-2", "libcuda.so.1") == "failed: the program ended with status 0"


def test_a_kernel_that_hangs_in_the_driver_is_a_failure_though_its_process_still_uses_the_gpu() -> None:
    bench = Bench(lines={FIRST: "failed: the kernel has not ended after 30 s"})
    original = bench.run

    def run(uuid: str, library: str, root: str | None) -> str:
        bench.nvml.processes[uuid] = (None,)
        return original(uuid, library, root)

    bench.run = run  # type: ignore[method-assign]
    assert bench.check().verdict is Verdict.FAILED
