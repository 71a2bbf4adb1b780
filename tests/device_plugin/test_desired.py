"""The desired state, planned from literal inputs."""

from collections.abc import Callable

import pytest

from device_plugin.cdi_sync import HostContext
from device_plugin.desired import Desired, Inputs, plan_desired
from device_plugin.inventory_poller import DiscoveryResult
from device_plugin.plan.options import PlanOptions
from gpu_core.domain.health import Phase
from gpu_core.domain.inventory import Driver, Gpu, GpuUuid, Inventory
from gpu_core.domain.node_assessment import NodeFacts, Reason
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpu_core.health.assessment import GpuAssessment
from gpu_core.mps.spec import STARTING
from gpu_core.settings.nvidia_settings import ResponseSettings
from node_core.values import replace

MakeGpu = Callable[..., Gpu]
SHARED = PlanOptions(
    sharing=Sharing(
        strategy=SharingStrategy.MPS,
        resources=(SharedResource(resource=GPU, replicas=2, advertised=GPU),),
        fail_requests_greater_than_one=True,
    )
)


@pytest.fixture
def inputs(gpu: MakeGpu) -> Inputs:
    """Two discovered GPUs with an open gate."""
    inventory = Inventory(driver=Driver(version="550.54.15", cuda=None), gpus=(gpu(0), gpu(1)))
    return Inputs(is_open=True, discovery=DiscoveryResult(inventory=inventory))


def reasons(desired: Desired) -> set[str | None]:
    return {device.why_unhealthy for offer in desired.advertised.resources.values() for device in offer.devices}


def reason(desired: Desired) -> Reason | None:
    return None if desired.assessment is None else desired.assessment.reason


def test_planning_again_from_the_same_inputs_gives_the_same_value(inputs: Inputs) -> None:
    once = plan_desired(inputs, Desired())
    assert plan_desired(inputs, once) == once
    assert reason(once) is Reason.READY


def test_a_closed_gate_advertises_nothing_and_changes_an_existing_assessment(inputs: Inputs) -> None:
    closed = replace(inputs, is_open=False, gate_problem="the Node does not have the label a=b")
    for before in (Desired(), plan_desired(inputs, Desired())):
        after = plan_desired(closed, before)
        assert (after.resources, after.mps, reason(after)) == ({}, {}, Reason.NOT_LABELLED)


def test_one_failure_changes_nothing_and_two_make_every_device_unhealthy(inputs: Inputs) -> None:
    sound = plan_desired(inputs, Desired())
    failing = replace(inputs, failures=("TIMEOUT",), facts=NodeFacts(code="TIMEOUT"))
    assert plan_desired(failing, sound) == sound
    twice = plan_desired(replace(failing, failures=("TIMEOUT", "TIMEOUT again")), sound)
    assert (reasons(twice), reason(twice)) == ({"TIMEOUT again"}, Reason.HANGS)
    assert plan_desired(inputs, twice) == sound


def test_before_the_first_successful_discovery_one_failure_is_assessed(inputs: Inputs) -> None:
    failed = replace(inputs, discovery=None, failures=("TIMEOUT",), facts=NodeFacts(code="TIMEOUT"))
    desired = plan_desired(failed, Desired())
    assert (desired.resources, reason(desired)) == ({}, Reason.HANGS)
    assert plan_desired(replace(inputs, discovery=None), Desired()).assessment is None


def test_replicas_are_unhealthy_until_their_exact_mps_daemon_exists(inputs: Inputs) -> None:
    shared = replace(inputs, options=SHARED)
    before = plan_desired(shared, Desired())
    assert reasons(before) == {STARTING}
    assert before.mps is not None
    running = replace(shared, mps=before.mps)
    assert reasons(plan_desired(running, before)) == {None}
    assert reasons(plan_desired(replace(running, mps_problems={GPU: "it ended"}), before)) == {"it ended"}
    other = {GPU: replace(before.mps[GPU], gpus=before.mps[GPU].gpus[:1])}
    assert reasons(plan_desired(replace(running, mps=other), before)) == {STARTING}


def test_gpus_without_mps_have_a_reason_with_the_cause(inputs: Inputs) -> None:
    shared = replace(inputs, options=SHARED)
    starting = plan_desired(shared, Desired()).assessment
    assert starting is not None
    assert (starting.reason, starting.todo) == (Reason.MPS_STARTING, None)
    assert starting.sentence == "0 of 4 devices are available. nvidia.com/gpu: its MPS daemon is starting"
    down = plan_desired(replace(shared, mps_problems={GPU: "its MPS daemon ended with status 1"}), Desired()).assessment
    assert down is not None
    assert down.reason is Reason.MPS_NOT_READY
    assert "nvidia.com/gpu: its MPS daemon ended with status 1" in down.sentence
    assert "Events" not in down.text


def test_missing_imex_channels_and_missing_cdi_specifications_have_their_own_reasons(inputs: Inputs) -> None:
    assert inputs.discovery is not None
    required = ResponseSettings(imex_channels=(0,), imex_required=True)
    missing = replace(inputs.discovery, context=HostContext(imex_problems=("channel 0 does not exist",)))
    assert reason(plan_desired(replace(inputs, discovery=missing, responses=required), Desired())) is Reason.NO_IMEX
    full = replace(inputs.discovery, context=HostContext(problems=("cannot write",), no_specs_reason="cannot write"))
    assert reason(plan_desired(replace(inputs, discovery=full, responses=required), Desired())) is Reason.READY, (
        "the channels exist"
    )
    by_cdi = replace(inputs, discovery=full, responses=ResponseSettings(device_lists=("cdi-cri",)))
    found = plan_desired(by_cdi, Desired()).assessment
    assert found is not None
    assert found.reason is Reason.NO_CDI
    assert found.sentence.endswith("nvidia.com/gpu: there is no CDI specification: cannot write")


def test_an_unhealthy_gpu_and_a_missing_daemon_are_both_named(inputs: Inputs) -> None:
    lost = GpuAssessment(gpu=GpuUuid("GPU-0"), index=0, phase=Phase.UNHEALTHY, why="the GPU is lost", todo="reset")
    assert inputs.discovery is not None
    none = replace(inputs.discovery, context=HostContext(no_specs_reason="cannot write"))
    cdi = ResponseSettings(device_lists=("cdi-cri",))
    found = plan_desired(replace(inputs, discovery=none, responses=cdi, gpu_assessments=(lost,)), Desired()).assessment
    assert found is not None
    assert found.reason is Reason.ALL_UNHEALTHY
    assert "there is no CDI specification" in found.sentence
    assert "GPU 0 (GPU-0): the GPU is lost" in found.sentence


def test_mps_daemons_do_not_change_before_the_node_and_the_gpus_are_known(inputs: Inputs) -> None:
    assert plan_desired(replace(inputs, discovery=None), Desired()).mps is None
    assert plan_desired(Inputs(), Desired()).mps is None


def test_the_most_important_reason_comes_first(inputs: Inputs) -> None:
    missing = HostContext(imex_problems=("no IMEX channel",), no_specs_reason=None)
    assert inputs.discovery is not None
    several = replace(
        inputs,
        discovery=replace(inputs.discovery, context=missing),
        responses=ResponseSettings(imex_required=True, device_lists=("cdi-cri",)),
        gpu_assessments=(GpuAssessment(gpu=GpuUuid("GPU-0"), phase=Phase.UNHEALTHY, why="Xid 79"),),
    )
    assert reasons(plan_desired(several, Desired())) == {"no IMEX channel"}
    optional = replace(several, responses=ResponseSettings(device_lists=("cdi-cri",)))
    offered = plan_desired(optional, Desired()).advertised.resources[GPU].devices
    assert [each.why_unhealthy for each in offered] == [
        "Xid 79",
        "no CDI specification contains the device: see the log of the plugin",
    ]
