"""Examines a node once, with the same rules as the agent. For `gpunode doctor`."""

import msgspec

from device_plugin.cdi_sync import HostContext
from device_plugin.devices import Plan
from device_plugin.health.build import discover_gpus, read_node_facts, state_file
from device_plugin.health.gpu_assessment import count_devices, health_cause
from device_plugin.inventory_poller import discover
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import MigStrategy
from device_plugin.plan.withhold import withhold
from device_plugin.settings import PluginSettings, plan_options
from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import DeviceCounts, NodeAssessment, assess_node
from gpu_core.health.assessment import GpuAssessment
from gpu_core.health.tracker import HealthTracker
from gpu_core.nvml.driver_version import DriverVersions, read_driver_versions
from node_core.errors import HostReadError, NodeError
from node_core.runtime.services import Services


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """inventory: None if the discovery failed. plan: the devices that the plugin advertises. gpu_assessments: of all GPUs.

    notes: sentences about settings that cannot be applied and about release requests. caps_problem: why the capabilities of MIG devices
    cannot be read. versions: of the driver.
    """

    assessment: NodeAssessment
    inventory: Inventory | None = None
    plan: Plan = msgspec.field(default_factory=Plan)
    gpu_assessments: tuple[GpuAssessment, ...] = ()
    notes: tuple[str, ...] = ()
    caps_problem: str | None = None
    versions: DriverVersions


def examine(
    agent: str,
    settings: PluginSettings,
    dependencies: Dependencies,
    services: Services,
    mig_strategy: MigStrategy = "none",
) -> Examination:
    """Examines the node without changing it. Problems of the node are in the result and are not raised.

    mig_strategy: the strategy to use if the setting is `auto`.
    """
    versions = _read_versions(settings, dependencies)
    requests = tuple(each.sentence for each in dependencies.nvml_release.requests)
    try:
        inventory = discover_gpus(dependencies, settings.responses)
    except NodeError as error:
        assessment = assess_node(read_node_facts(dependencies, settings, error), None, DeviceCounts())
        return Examination(assessment=assessment, notes=requests, versions=versions)
    now = services.clock()
    tracker = HealthTracker(settings.health, state_file(agent, dependencies).read(now))
    tracker.record_inventory(inventory, now)
    gpu_assessments = tracker.assess_gpus()
    result = discover(lambda: inventory, dependencies.root, lambda _: HostContext())
    plan = withhold(
        plan_devices(inventory, plan_options(settings, mig_strategy), caps=result.caps), [health_cause(gpu_assessments)]
    )
    facts = read_node_facts(dependencies, settings, None)
    plan_notes = plan.notes if inventory.gpus or inventory.faults else ()  # the assessment reports a node without GPUs
    return Examination(
        assessment=assess_node(facts, inventory, count_devices(plan, gpu_assessments)),
        inventory=inventory,
        plan=plan,
        gpu_assessments=gpu_assessments,
        notes=(*plan_notes, *requests),
        caps_problem=result.caps_problem,
        versions=versions,
    )


def _read_versions(settings: PluginSettings, dependencies: Dependencies) -> DriverVersions:
    """Reads the driver's versions; unknown for simulated GPUs."""
    if dependencies.simulated is not None:
        return DriverVersions(module=None, library=None)
    try:
        return read_driver_versions(
            dependencies.root, settings.responses.driver_root_mount, settings.responses.library_dirs
        )
    except HostReadError:
        return DriverVersions(module=None, library=None)
