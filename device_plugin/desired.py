"""The desired state of the node, as one value. PURE.

`plan_desired` plans the value; the controller passes each part to a writer, which compares the part with the observed state.
"""

from collections.abc import Iterator, Mapping

import msgspec

from device_plugin.allocate.choose import Choice
from device_plugin.allocate.strategies import CDI_LISTS, DeviceList
from device_plugin.devices import Plan
from device_plugin.health.gpu_assessment import count_devices, health_cause
from device_plugin.inventory_poller import DiscoveryResult
from device_plugin.mps_plan import plan_mps
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.withhold import (
    NO_SPECIFICATION,
    Cause,
    cdi_cause,
    global_cause,
    leaving_cause,
    mps_cause,
    withhold,
)
from device_plugin.response_options import NodeSoftware, ServedResource, plan_response_options, select_device_lists
from gpu_core.cdi.kinds import CdiClass
from gpu_core.domain.node_assessment import (
    NodeAssessment,
    NodeFacts,
    Reason,
    assess_closed_gate,
    assess_invalid_config,
    assess_node,
)
from gpu_core.domain.resources import ResourceName
from gpu_core.health.assessment import GpuAssessment
from gpu_core.mps.spec import STARTING, MpsDaemonSpec
from gpu_core.settings.nvidia_settings import ResponseSettings

FAILURES_UNTIL_UNHEALTHY = 2
"""After this number of failed discoveries in a row all devices become unhealthy. A single failure changes nothing."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the plan depends on.

    is_open: the gate is open and the settings are valid. gate_problem: what the labels of the Node lack; None if they open the gate, or
    are unknown. config_problem: why no config is valid. has_condition: the Node has the condition GPUReady.
    discovery: the result of the last successful discovery. failures: a sentence for each failed discovery since then. facts: the PCI
    bus, kernel module and device nodes. mps: the MPS daemons that exist. mps_problems: why clients of a resource cannot connect.
    leaving: the UUIDs of devices that mig-manager is about to destroy.
    """

    is_open: bool = False
    gate_problem: str | None = None
    config_problem: str | None = None
    has_condition: bool = False
    discovery: DiscoveryResult | None = None
    failures: tuple[str, ...] = ()
    facts: NodeFacts = NodeFacts()
    options: PlanOptions = PlanOptions()
    responses: ResponseSettings = ResponseSettings()
    software: NodeSoftware = NodeSoftware()
    gpu_assessments: tuple[GpuAssessment, ...] = ()
    mps: Mapping[ResourceName, MpsDaemonSpec] = msgspec.field(default_factory=dict)
    mps_problems: Mapping[ResourceName, str] = msgspec.field(default_factory=dict)
    leaving: frozenset[str] = frozenset()

    @property
    def is_failing(self) -> bool:
        return len(self.failures) >= FAILURES_UNTIL_UNHEALTHY


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """The desired state.

    plan: the devices that exist, before unhealthy devices are marked. resources: the resources to advertise. choice: the device list
    strategy that `auto` selected. mps: the MPS daemons to run; None if that is unknown, so that running daemons continue to run.
    assessment: the assessment of the whole node; None until a discovery ends.
    """

    plan: Plan = Plan()
    resources: Mapping[ResourceName, ServedResource] = msgspec.field(default_factory=dict)
    choice: Choice | None = None
    mps: Mapping[ResourceName, MpsDaemonSpec] | None = None
    assessment: NodeAssessment | None = None

    @property
    def advertised(self) -> Plan:
        """The devices to advertise, with their health."""
        return Plan(resources={resource: served.offer for resource, served in self.resources.items()})


def plan_desired(inputs: Inputs, before: Desired) -> Desired:
    """Plans the desired state. before: the previous plan; its devices that are no longer readable remain advertised as unhealthy."""
    if not inputs.is_open:
        return Desired(mps=None if inputs.gate_problem is None else {}, assessment=_assess_closed(inputs, before))
    result = inputs.discovery
    if result is None:
        return Desired(assessment=_assess(inputs, Plan(), before))
    plan = plan_devices(result.inventory, inputs.options, known=before.plan, caps=result.caps)
    mps = plan_mps(plan, result.inventory, inputs.mps)
    lists, choice = select_device_lists(inputs.responses, inputs.software, result.context)
    advertised = withhold(plan, _causes(inputs, result, lists, mps))
    return Desired(
        plan=plan,
        resources={
            resource: ServedResource(
                offer=offer,
                response_options=plan_response_options(resource, offer, inputs.responses, lists, result.context),
            )
            for resource, offer in advertised.resources.items()
        },
        choice=choice,
        mps=mps,
        assessment=_assess(inputs, advertised, before),
    )


def _causes(
    inputs: Inputs,
    result: DiscoveryResult,
    lists: tuple[DeviceList, ...],
    mps: Mapping[ResourceName, MpsDaemonSpec],
) -> Iterator[Cause]:
    """Yields the causes in order of importance: a device reports the first cause that applies."""
    if inputs.is_failing:
        yield global_cause(inputs.failures[-1])
    if inputs.responses.imex_required and result.context.imex_problems:
        yield global_cause("; ".join(result.context.imex_problems), Reason.NO_IMEX)
    problems = {resource: why for resource, why in inputs.mps_problems.items() if why != STARTING}
    yield mps_cause(problems, Reason.MPS_NOT_READY)
    # a daemon that is missing or runs with another specification cannot serve clients
    starting = {resource for resource, spec in mps.items() if inputs.mps.get(resource) != spec}
    yield mps_cause(dict.fromkeys((*starting, *inputs.mps_problems), STARTING), Reason.MPS_STARTING)
    yield health_cause(inputs.gpu_assessments)
    yield leaving_cause(inputs.leaving)
    if not CDI_LISTS.isdisjoint(lists):
        why = result.context.no_specs_reason
        missing = NO_SPECIFICATION if why is None else f"there is no CDI specification: {why}"
        yield cdi_cause(result.context.cdi_names.get(CdiClass.GPU, {}), missing)


def _assess_closed(inputs: Inputs, before: Desired) -> NodeAssessment | None:
    """A node without GPUs and without the label gets no condition, unless the Node has the condition already."""
    if inputs.gate_problem is not None:
        is_silent = inputs.facts.has_gpus is False and before.assessment is None and not inputs.has_condition
        return None if is_silent else assess_closed_gate(inputs.facts, inputs.gate_problem)
    return before.assessment if inputs.config_problem is None else assess_invalid_config(inputs.config_problem)


def _assess(inputs: Inputs, advertised: Plan, before: Desired) -> NodeAssessment | None:
    """Without a discovery, and after a single failed discovery, the previous assessment remains valid."""
    if inputs.discovery is None and not inputs.failures:
        return before.assessment
    if inputs.discovery is not None and inputs.failures and not inputs.is_failing:
        return before.assessment
    inventory = None if inputs.discovery is None else inputs.discovery.inventory
    return assess_node(inputs.facts, inventory, count_devices(advertised, inputs.gpu_assessments))
