"""The reason, sentence and advice for each kind of broken node."""

from typing import Any, cast

import pytest

from gpu_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory
from gpu_core.domain.node_assessment import ADVICE, DeviceCounts, NodeAssessment, NodeFacts, Reason, assess_node
from node_core.values import replace

DRIVER = Driver(version="550.54.15", cuda=None)
GPU = Gpu(index=0, uuid=GpuUuid("GPU-0"), minor=0, model="X", memory_bytes=None, compute=None, address=None)
MIG = Gpu(
    index=0, uuid=GpuUuid("GPU-0"), minor=0, model="X", memory_bytes=None, compute=None, address=None, mig_enabled=True
)
FAULT = Fault(index=0, uuid=None, reason="nvmlDeviceGetName returned GPU_IS_LOST")
HEALTHY = Inventory(driver=DRIVER, gpus=(GPU,))


def failed(
    code: str,
    *,
    pci: bool | None = True,
    module: bool | None = True,
    node: bool | None = True,
    may: bool | None = None,
) -> NodeFacts:
    error = f"NVML returned {code}"
    return NodeFacts(has_gpus=pci, module=module, control_node=node, may_open=may, code=code, error=error)


@pytest.mark.parametrize(
    ("facts", "inventory", "counts", "reason"),
    [
        pytest.param(NodeFacts(), HEALTHY, DeviceCounts(healthy=8), Reason.READY, id="all-healthy"),
        pytest.param(NodeFacts(), HEALTHY, DeviceCounts(healthy=7, unhealthy=1), Reason.SOME_UNHEALTHY, id="one-unhealthy"),
        pytest.param(
            NodeFacts(),
            Inventory(driver=DRIVER, gpus=(GPU,), faults=(FAULT,)),
            DeviceCounts(healthy=1),
            Reason.SOME_UNHEALTHY,
            id="one-unread",
        ),
        pytest.param(NodeFacts(), HEALTHY, DeviceCounts(unhealthy=8), Reason.ALL_UNHEALTHY, id="all-unhealthy"),
        pytest.param(NodeFacts(has_gpus=False), Inventory(driver=None), DeviceCounts(), Reason.NO_GPU, id="no-gpu"),
        pytest.param(failed("DRIVER_NOT_LOADED", pci=False, module=False), None, DeviceCounts(), Reason.NO_GPU, id="no-gpu-no-module"),
        pytest.param(failed("DRIVER_NOT_LOADED", module=False), None, DeviceCounts(), Reason.NO_DRIVER, id="no-driver"),
        pytest.param(failed("LIBRARY_NOT_FOUND", module=False), None, DeviceCounts(), Reason.NO_DRIVER, id="neither-half"),
        pytest.param(failed("LIBRARY_NOT_FOUND", module=None, pci=None), None, DeviceCounts(), Reason.NO_DRIVER, id="no-sys"),
        pytest.param(failed("LIBRARY_NOT_FOUND"), None, DeviceCounts(), Reason.NO_LIBRARY, id="module-without-library"),
        pytest.param(failed("LIB_RM_VERSION_MISMATCH"), None, DeviceCounts(), Reason.MISMATCH, id="versions-differ"),
        pytest.param(failed("DRIVER_NOT_LOADED", node=False), None, DeviceCounts(), Reason.NO_NODES, id="no-device-nodes"),
        pytest.param(failed("NO_PERMISSION"), None, DeviceCounts(), Reason.NO_PERMISSION, id="nvml-no-permission"),
        pytest.param(failed("UNKNOWN", may=False), None, DeviceCounts(), Reason.NO_PERMISSION, id="device-cgroup"),
        pytest.param(failed("DRIVER_NOT_LOADED", may=False), None, DeviceCounts(), Reason.NO_PERMISSION, id="device-cgroup-2"),
        pytest.param(failed("TIMEOUT"), None, DeviceCounts(), Reason.HANGS, id="hangs"),
        pytest.param(failed("RELEASED"), None, DeviceCounts(), Reason.RELEASED, id="released"),
        pytest.param(failed("UNKNOWN"), None, DeviceCounts(), Reason.NVML_FAILS, id="something-else"),
        pytest.param(NodeFacts(has_gpus=True), Inventory(driver=DRIVER), DeviceCounts(), Reason.UNREADABLE, id="driver-counts-none"),
        pytest.param(NodeFacts(), Inventory(driver=DRIVER, faults=(FAULT,)), DeviceCounts(), Reason.UNREADABLE, id="none-readable"),
        pytest.param(NodeFacts(), Inventory(driver=DRIVER, gpus=(MIG,)), DeviceCounts(), Reason.MIG_EMPTY, id="mig-empty"),
        pytest.param(NodeFacts(), HEALTHY, DeviceCounts(excluded=1), Reason.EXCLUDED, id="all-excluded"),
        pytest.param(NodeFacts(), HEALTHY, DeviceCounts(), Reason.NOT_ADVERTISED, id="nothing-advertised"),
        pytest.param(NodeFacts(), None, DeviceCounts(), Reason.NOT_DISCOVERED, id="not-discovered-yet"),
    ],
)  # fmt: skip
def test_each_broken_node_has_its_own_reason(
    facts: NodeFacts, inventory: Inventory | None, counts: DeviceCounts, reason: Reason
) -> None:
    assessment = assess_node(facts, inventory, counts)
    assert assessment.reason is reason
    assert assessment.is_ready == (reason in (Reason.READY, Reason.SOME_UNHEALTHY))
    assert assessment.sentence
    assert assessment.todo == ADVICE.get(reason)


@pytest.mark.parametrize(
    ("by", "gpus", "sentence"),
    [
        (Reason.MIG_NOT_ADVERTISED, (MIG,), "all GPUs are in MIG mode and the MIG strategy is `none`, so nothing is advertised"),
        (Reason.MIG_NOT_ADVERTISED, (MIG, GPU), "none of the 7 devices is advertised: x"),
        (Reason.MIG_INVALID, (MIG, GPU), "none of the 7 devices is advertised: x"),
        (None, (MIG, GPU), "none of the 7 devices is advertised: x"),
    ],
)  # fmt: skip
def test_nothing_advertised_because_of_mig_has_its_own_reason(
    by: Reason | None, gpus: tuple[Gpu, ...], sentence: str
) -> None:
    gpus = tuple(replace(gpu, mig_faults=(), mig_devices=cast("Any", (1,) if gpu.mig_enabled else ())) for gpu in gpus)
    counts = DeviceCounts(excluded=7, excluded_reasons=("x",), excluded_by=by)
    found = assess_node(NodeFacts(), Inventory(driver=DRIVER, gpus=gpus), counts)
    assert (found.reason, found.sentence) == (by or Reason.EXCLUDED, sentence)


def test_every_other_reason_has_advice() -> None:
    assert set(Reason) - set(ADVICE) == {
        Reason.READY,
        Reason.NOT_DISCOVERED,
        Reason.MPS_STARTING,
        Reason.MIG_CHANGING,
    }


def test_a_failure_contains_the_error_of_the_driver() -> None:
    assert "NVML returned UNKNOWN" in assess_node(failed("UNKNOWN"), HEALTHY, DeviceCounts(healthy=8)).sentence


def test_the_sentence_names_four_unhealthy_gpus_and_counts_the_others() -> None:
    counts = DeviceCounts(unhealthy=6, problems=tuple(f"GPU-{index}: Xid 79" for index in range(6)))
    assert assess_node(NodeFacts(), HEALTHY, counts).sentence == (
        "0 of 6 devices are available. GPU-0: Xid 79. GPU-1: Xid 79. GPU-2: Xid 79. GPU-3: Xid 79. 2 more problems"
    )


def test_the_message_of_the_condition_has_the_sentence_and_the_advice() -> None:
    assert NodeAssessment(reason=Reason.NO_GPU, sentence="no GPU", todo="check").text == "No GPU. Check."
    assert NodeAssessment(reason=Reason.READY, sentence="8 devices").text == "8 devices."


@pytest.mark.parametrize("code", [None, "LIBRARY_NOT_FOUND"])
def test_the_sentence_states_that_gpus_are_simulated(code: str | None) -> None:
    facts = NodeFacts(code=code, error=code)
    plain = assess_node(facts, HEALTHY, DeviceCounts(healthy=8))
    simulated = assess_node(replace(facts, is_simulated=True), HEALTHY, DeviceCounts(healthy=8))
    assert simulated == replace(plain, sentence=f"simulated GPUs: {plain.sentence}")


def test_the_advice_for_mig_mode_without_devices_does_not_lead_to_devices_that_are_not_advertised() -> None:
    advice = ADVICE[Reason.MIG_EMPTY]
    assert "disable MIG mode" in advice
    assert "--mig-strategy single or mixed, not with none" in advice
