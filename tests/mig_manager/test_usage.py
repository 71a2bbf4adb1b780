"""The users of GPUs and MIG devices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_core.domain.usage import RunningProcess
from gpu_core.nvml.api import GPU_IS_LOST
from gpu_core.pods.cgroups import PodCgroup, ProcessFacts
from gpu_core.pods.holders import PodIdentity, select_holders
from mig_manager.policy import Holder
from mig_manager.usage import UsageReader, read_pids, select_usage
from node_core.errors import KubeletError, MigError, NvmlError
from node_core.kubelet.podresources import ContainerDevices, PodDevices
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu

WHOLE, SPLIT = make_gpu(0), make_gpu(1, ["1g.10gb", "1g.10gb", "3g.40gb"])
SHARED = replace(
    SPLIT, mig_devices=tuple(replace(each, gpu_instance=5, compute_instance=each.slot) for each in SPLIT.mig_devices)
)
UID = "8e5b3a5e-0c9f-4b8e-9a39-1f1f1f1f1f1f"


def pod(name: str, *devices: str) -> PodDevices:
    return PodDevices(
        namespace="ml", name=name, containers=(ContainerDevices(name="main", devices=frozenset(devices)),)
    )


def holder(name: str) -> Holder:
    return Holder(namespace="ml", pod=name)


def usage(*pods: PodDevices, pids: Any = (), processes: Any = (), gpu: Any = SPLIT) -> Any:
    identities = (PodIdentity(uid=UID, namespace="ml", name="a"),)
    holders = select_holders(pods, (WHOLE, gpu), identities)
    return select_usage((WHOLE, gpu), pods, holders, dict(pids), dict(processes), lambda pid: f"process {pid}")


def test_each_device_has_the_pods_that_the_kubelet_names() -> None:
    assert usage(pod("a", "MIG-1-0", "GPU-0"), pod("b", "MIG-1-0", "gpu-of-another-vendor")) == {
        "GPU-0": (holder("a"),),
        "MIG-1-0": (holder("a"), holder("b")),
    }


@pytest.mark.parametrize("name", ["MIG-1-1::3", "MIG-GPU-1/1/0", "nvidia1/gi1"])
def test_a_device_is_known_by_all_its_names(name: str) -> None:
    assert usage(pod("a", name)) == {"MIG-1-1": (holder("a"),)}


def test_two_compute_instances_of_a_gpu_instance_have_their_own_pods() -> None:
    assert usage(pod("a", "MIG-1-0"), gpu=SHARED) == {"MIG-1-0": (holder("a"),)}


def test_a_process_of_a_pod_is_reported_as_the_pod_and_another_one_by_its_number() -> None:
    processes = {7: ProcessFacts(started=0.0, pods=(PodCgroup(UID),)), 8: ProcessFacts(started=0.0)}
    found = usage(pod("a", "MIG-1-0"), pids={"MIG-1-0": {7, 8, 9}}, processes=processes)
    assert found == {"MIG-1-0": (Holder(process="process 8"), Holder(process="process 9"), holder("a"))}


class Processes:
    """NVML with processes. lost: every call fails."""

    def __init__(self, *processes: RunningProcess, lost: bool = False) -> None:
        self._processes, self._lost = processes, lost

    def device_get_handle_by_uuid(self, uuid: str) -> str:
        if self._lost:
            raise NvmlError("nvmlDeviceGetHandleByUUID", GPU_IS_LOST)
        return uuid

    def device_get_compute_running_processes(self, device: str) -> tuple[RunningProcess, ...]:
        return self._processes if device == "GPU-1" else ()

    def __getattr__(self, name: str) -> Callable[..., tuple[RunningProcess, ...]]:
        return lambda _: ()


def test_processes_are_attributed_to_mig_devices() -> None:
    nvml: Any = Processes(
        RunningProcess(pid=7, gpu_instance=2, compute_instance=0),
        RunningProcess(pid=8, gpu_instance=99, compute_instance=0),
        RunningProcess(pid=9),
    )
    assert read_pids(nvml, (WHOLE, SPLIT)) == {"MIG-1-2": {7}, "GPU-1": {8, 9}}


def test_a_gpu_that_is_lost_has_no_processes() -> None:
    nvml: Any = Processes(lost=True)
    assert read_pids(nvml, (SPLIT,)) == {}


def reader(folder: Path, list_pods: Callable[[Path], tuple[PodDevices, ...]]) -> UsageReader:
    return UsageReader(socket=folder / "kubelet.sock", folder=folder, proc=folder, list_pods=list_pods)


def test_a_process_is_named_with_its_command(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "comm").write_text("python\n")
    nvml: Any = Processes(
        RunningProcess(pid=7, gpu_instance=0, compute_instance=0),
        RunningProcess(pid=8, gpu_instance=0, compute_instance=0),
    )
    found = reader(tmp_path, lambda _: ()).read(nvml, (SPLIT,))
    assert [each.name for each in found["MIG-1-0"]] == ["process 7 (python)", "process 8"]


def test_without_the_kubelet_no_device_counts_as_free(tmp_path: Path) -> None:
    def fail(_: Path) -> tuple[PodDevices, ...]:
        raise KubeletError("no socket")

    nvml: Any = Processes()
    with pytest.raises(MigError, match="users of the MIG devices are not known: no socket"):
        reader(tmp_path, fail).read(nvml, (SPLIT,))


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_checkpoint_that_is_damaged_costs_only_the_names_of_processes(tmp_path: Path, content: str) -> None:
    (tmp_path / "kubelet_internal_checkpoint").write_text(content)
    nvml: Any = Processes()
    found = reader(tmp_path, lambda _: (pod("a", "MIG-1-0"),)).read(nvml, (SPLIT,))
    assert found == {"MIG-1-0": (holder("a"),)}
