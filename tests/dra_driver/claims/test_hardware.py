"""The GPUs of a node for claims: a MIG mode that does not change, a driver that hangs, and the edits of containers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims import hardware
from dra_driver.claims.edits import select_edits
from dra_driver.claims.hardware import NodeHardware
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import CdiDevice, DeviceNodeEdit, Edits, Spec
from gpu_core.mig.plan import GpuPlan
from node_core.errors import ClaimError, NvmlError
from tests.dra_driver.claims.node import Node

NODES = Edits(device_nodes=(DeviceNodeEdit(path="/dev/nvidia0", host_path="/dev/nvidia0"),))
COMMON = Edits(env=("NVIDIA_VISIBLE_DEVICES=void",))
PLAN = CdiPlan(
    specs={
        "k8s.device-plugin.nvidia.com-gpu.json": Spec(
            kind="k8s.device-plugin.nvidia.com/gpu", devices=(CdiDevice(name="GPU-0", edits=NODES),), edits=COMMON
        )
    },
    names={"gpu": {"GPU-0": "GPU-0"}},
    notes=("Device 1 (GPU-1) has no CDI device: /dev/nvidia1 does not exist.",),
)


class NoGpus:
    def device_get_count(self) -> int:
        return 0


def test_a_mig_mode_that_needs_a_reset_is_not_left_pending(tmp_path: Path) -> None:
    node = Node(tmp_path, compute="8.0")
    with pytest.raises(ClaimError, match="does not change its MIG mode now"):
        node.hardware.apply(GpuPlan(gpu=node.mig_gpus[0], mode=True))
    assert (node.mig_gpus[0].is_enabled, node.mig_gpus[0].is_pending) == (False, False)


def test_while_a_call_of_the_driver_hangs_the_next_one_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "DEADLINE", 0.05)
    goes_on, sessions = threading.Event(), []

    @contextmanager
    def open_nvml() -> Iterator[Any]:
        sessions.append(1)
        goes_on.wait(60)
        yield None

    node = NodeHardware(open_nvml, lambda: pytest.fail("not called"), lambda _: CdiPlan())
    for _ in range(3):
        with pytest.raises(NvmlError, match="TIMEOUT"):
            node.read_mig_gpus()
    goes_on.set()
    assert len(sessions) == 1


def test_a_call_that_works_does_not_hide_another_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "DEADLINE", 0.3)
    goes_on, sessions = threading.Event(), []

    @contextmanager
    def open_nvml() -> Iterator[Any]:
        sessions.append(1)
        if len(sessions) == 1:
            with suppress(NvmlError):  # the discovery of the agent, at the same time
                node.read_mig_gpus()
            goes_on.wait(60)
        yield NoGpus()

    node = NodeHardware(open_nvml, lambda: pytest.fail("not called"), lambda _: CdiPlan())
    for _ in range(2):
        with pytest.raises(NvmlError, match="TIMEOUT"):
            node.read_mig_gpus()
    goes_on.set()


def test_a_claim_gets_the_nodes_of_its_gpu_and_the_edits_of_every_container() -> None:
    assert select_edits(PLAN, ("GPU-0",), is_simulated=False) == ({"GPU-0": NODES}, COMMON)


def test_a_gpu_without_device_nodes_is_refused_with_the_reason() -> None:
    with pytest.raises(ClaimError, match="/dev/nvidia1 does not exist"):
        select_edits(PLAN, ("GPU-1",), is_simulated=False)


def test_simulated_gpus_become_variables() -> None:
    found, common = select_edits(CdiPlan(), ("GPU-a", "GPU-b"), is_simulated=True)
    assert [each.env for each in found.values()] == [
        ("GPUNODE_SIMULATED_DEVICE_GPU_A=GPU-a",),
        ("GPUNODE_SIMULATED_DEVICE_GPU_B=GPU-b",),
    ]
    assert not common
