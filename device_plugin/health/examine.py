"""One look at a node by somebody who asks: the verdict on it and on each GPU, as the agent would have them."""

from dataclasses import dataclass

from device_plugin.devices import Plan
from device_plugin.following import Following
from device_plugin.health.build import facts_of, look_with_nodes, state_file
from device_plugin.health.mark import Verdict, count_offered, mark_plan
from device_plugin.health.tracker import HealthTracker
from device_plugin.looker import read_look
from device_plugin.plan.node import plan_devices
from device_plugin.settings import PluginSettings
from device_plugin.specs import Surroundings
from node_core.assembly import Edges
from node_core.domain.inventory import Inventory
from node_core.domain.verdict import Judgement, Offered, judge
from node_core.errors import HostReadError, NodeError
from node_core.host.driver_version import DriverVersions, read_driver_versions
from node_core.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """verdicts: on what is not healthy. notes: a sentence for each thing that is not as it was asked for. versions: of the driver."""

    judgement: Judgement
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    versions: DriverVersions

    @property
    def is_well(self) -> bool:
        """Whether there is nothing for a person to do."""
        return self.judgement.todo is None and not self.verdicts and not self.notes


def examine(agent: str, settings: PluginSettings, edges: Edges, services: Services) -> Examination:
    """Changes nothing, and never raises because of what is on the node."""
    versions = _versions(settings, edges)
    try:
        inventory = look_with_nodes(edges, settings.responses)
    except NodeError as error:
        judgement = judge(facts_of(edges, settings, error), None, Offered())
        return Examination(judgement=judgement, notes=_requests(edges), versions=versions)
    return _examine(agent, settings, edges, inventory, services.clock(), versions)


def _notes(plan: Plan, inventory: Inventory) -> tuple[str, ...]:
    """That there is no GPU at all is the verdict."""
    return plan.notes if inventory.gpus or inventory.faults else ()


def _requests(edges: Edges) -> tuple[str, ...]:
    """That the GPUs be free, and files that were meant to be such."""
    return tuple(each.sentence for each in edges.releases.requests)


def _versions(settings: PluginSettings, edges: Edges) -> DriverVersions:
    """Of simulated GPUs there are none."""
    if edges.scenario is not None:
        return DriverVersions(module=None, library=None)
    try:
        return read_driver_versions(edges.root, settings.responses.driver_root_seen)
    except HostReadError:
        return DriverVersions(module=None, library=None)


def _examine(
    agent: str, settings: PluginSettings, edges: Edges, inventory: Inventory, now: float, versions: DriverVersions
) -> Examination:
    tracker = HealthTracker(settings.health, state_file(agent, edges).read(now))
    tracker.looked(inventory, now)
    verdicts = tracker.verdicts()
    looked = read_look(lambda: inventory, edges.root, lambda _: Surroundings())
    plan = mark_plan(plan_devices(inventory, Following(settings, None).plan_options, caps=looked.caps), verdicts)
    judgement = judge(facts_of(edges, settings, None), inventory, count_offered(plan, verdicts))
    return Examination(
        judgement=judgement,
        verdicts=tuple(each for each in verdicts if each.why is not None),
        notes=tuple(
            filter(None, (*_notes(plan, inventory), looked.caps_problem, versions.mismatch, *_requests(edges)))
        ),
        versions=versions,
    )
