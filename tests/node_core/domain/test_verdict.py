"""Never a silent zero: what a broken node is told, verdict by verdict."""

import pytest

from node_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory
from node_core.domain.verdict import ADVICE, Judgement, NodeFacts, Offered, Reason, judge

DRIVER = Driver(version="550.54.15", cuda=None)
GPU = Gpu(index=0, uuid=GpuUuid("GPU-0"), minor=0, model="X", memory_bytes=None, compute=None, address=None)
MIG = Gpu(
    index=0, uuid=GpuUuid("GPU-0"), minor=0, model="X", memory_bytes=None, compute=None, address=None, mig_enabled=True
)
FAULT = Fault(index=0, uuid=None, reason="nvmlDeviceGetName answered GPU_IS_LOST")
SOUND = Inventory(driver=DRIVER, gpus=(GPU,))


def failed(
    code: str,
    *,
    pci: bool | None = True,
    module: bool | None = True,
    node: bool | None = True,
    may: bool | None = None,
) -> NodeFacts:
    error = f"NVML answered {code}"
    return NodeFacts(gpus_on_pci=pci, module=module, control_node=node, may_open=may, code=code, error=error)


@pytest.mark.parametrize(
    ("facts", "inventory", "offered", "reason"),
    [
        pytest.param(NodeFacts(), SOUND, Offered(healthy=8), Reason.READY, id="all-well"),
        pytest.param(NodeFacts(), SOUND, Offered(healthy=7, unhealthy=1), Reason.SOME_UNHEALTHY, id="one-unhealthy"),
        pytest.param(
            NodeFacts(), Inventory(driver=DRIVER, gpus=(GPU,), faults=(FAULT,)), Offered(healthy=1), Reason.SOME_UNHEALTHY, id="one-unread",
        ),
        pytest.param(NodeFacts(), SOUND, Offered(unhealthy=8), Reason.ALL_UNHEALTHY, id="all-unhealthy"),
        pytest.param(NodeFacts(gpus_on_pci=False), Inventory(driver=None), Offered(), Reason.NO_GPU, id="no-gpu"),
        pytest.param(failed("DRIVER_NOT_LOADED", pci=False, module=False), None, Offered(), Reason.NO_GPU, id="no-gpu-no-module"),
        pytest.param(failed("DRIVER_NOT_LOADED", module=False), None, Offered(), Reason.NO_DRIVER, id="no-driver"),
        pytest.param(failed("LIBRARY_NOT_FOUND", module=False), None, Offered(), Reason.NO_DRIVER, id="neither-half"),
        pytest.param(failed("LIBRARY_NOT_FOUND", module=None, pci=None), None, Offered(), Reason.NO_DRIVER, id="no-sys"),
        pytest.param(failed("LIBRARY_NOT_FOUND"), None, Offered(), Reason.NO_LIBRARY, id="module-without-library"),
        pytest.param(failed("LIB_RM_VERSION_MISMATCH"), None, Offered(), Reason.MISMATCH, id="versions-differ"),
        pytest.param(failed("DRIVER_NOT_LOADED", node=False), None, Offered(), Reason.NO_NODES, id="no-device-nodes"),
        pytest.param(failed("NO_PERMISSION"), None, Offered(), Reason.NO_PERMISSION, id="nvml-says-no-permission"),
        pytest.param(failed("UNKNOWN", may=False), None, Offered(), Reason.NO_PERMISSION, id="device-cgroup"),
        pytest.param(failed("DRIVER_NOT_LOADED", may=False), None, Offered(), Reason.NO_PERMISSION, id="device-cgroup-2"),
        pytest.param(failed("TIMEOUT"), None, Offered(), Reason.HANGS, id="hangs"),
        pytest.param(failed("RELEASED"), None, Offered(), Reason.RELEASED, id="released"),
        pytest.param(failed("UNKNOWN"), None, Offered(), Reason.NVML_FAILS, id="something-else"),
        pytest.param(NodeFacts(gpus_on_pci=True), Inventory(driver=DRIVER), Offered(), Reason.UNREADABLE, id="driver-counts-none"),
        pytest.param(NodeFacts(), Inventory(driver=DRIVER, faults=(FAULT,)), Offered(), Reason.UNREADABLE, id="none-readable"),
        pytest.param(NodeFacts(), Inventory(driver=DRIVER, gpus=(MIG,)), Offered(), Reason.MIG_EMPTY, id="mig-empty"),
        pytest.param(NodeFacts(), SOUND, Offered(excluded=1), Reason.EXCLUDED, id="all-excluded"),
        pytest.param(NodeFacts(), SOUND, Offered(), Reason.NOT_ADVERTISED, id="nothing-advertised"),
        pytest.param(NodeFacts(), None, Offered(), Reason.NOT_LOOKED, id="not-looked-yet"),
    ],
)  # fmt: skip
def test_each_broken_node_has_its_own_verdict(
    facts: NodeFacts, inventory: Inventory | None, offered: Offered, reason: Reason
) -> None:
    judgement = judge(facts, inventory, offered)
    assert judgement.reason is reason
    assert judgement.is_ready == (reason in (Reason.READY, Reason.SOME_UNHEALTHY))
    assert judgement.sentence
    assert judgement.todo == ADVICE.get(reason)


def test_every_reason_but_two_says_what_to_do() -> None:
    assert set(Reason) - set(ADVICE) == {Reason.READY, Reason.NOT_LOOKED, Reason.NOT_ASKED_FOR}


def test_a_failure_says_what_the_driver_said() -> None:
    assert "NVML answered UNKNOWN" in judge(failed("UNKNOWN"), SOUND, Offered(healthy=8)).sentence


def test_a_few_troubles_are_told_by_name() -> None:
    offered = Offered(unhealthy=6, troubles=tuple(f"GPU-{index}: Xid 79" for index in range(6)))
    assert judge(NodeFacts(), SOUND, offered).sentence == (
        "0 of 6 devices can be allocated (GPU-0: Xid 79, GPU-1: Xid 79, GPU-2: Xid 79, GPU-3: Xid 79, and 2 more)"
    )


def test_the_text_has_the_sentence_and_the_advice() -> None:
    assert Judgement(reason=Reason.NO_GPU, sentence="none", todo="look").text == "none: look"
    assert Judgement(reason=Reason.READY, sentence="8").text == "8"
