"""The health of the GPUs in the agent's life: takes what happened and what looks found, and marks plans. Owned by the agent's thread."""

from collections.abc import Callable, Sequence

import structlog

from device_plugin.devices import Plan
from device_plugin.health.box import EvidenceBox
from device_plugin.health.mark import Verdict, count_offered, mark_plan
from device_plugin.health.reporter import NO_SINK, HealthReporter, Sink
from device_plugin.health.startup_taint import had_gpus
from device_plugin.health.state_file import StateFile
from device_plugin.health.tracker import HealthTracker
from device_plugin.health.watch import StartWatch, Watch
from node_core.domain.health import HealthPolicy
from node_core.domain.inventory import Inventory, Platform
from node_core.domain.node import NodeView
from node_core.domain.verdict import NOT_ASKED_FOR, NodeFacts, judge
from node_core.errors import NodeError, NvmlError
from node_core.host.nvml.api import DRIVER_NOT_LOADED
from node_core.host.nvml.source import FRESH
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

SOONEST = 1.0
"""Seconds between two looks that health asks for."""

NO_FILE = StateFile(None, "")


class HealthKeeper:
    """box: what other threads fill; wake: how they wake the agent. facts: what is found beside the GPUs, given the error of a look.

    watch: starts listening; None where nobody tells anything by itself.
    """

    def __init__(
        self,
        agent: str,
        services: Services,
        wake: Callable[[], None],
        *,
        file: StateFile = NO_FILE,
        sink: Sink = NO_SINK,
        facts: Callable[[NodeError | None], NodeFacts] = lambda _: NodeFacts(),
        watch: StartWatch | None = None,
    ) -> None:
        self.box = EvidenceBox(wake)
        self._services, self._file, self._facts, self._sink = services, file, facts, sink
        self._start_watch = watch
        self._watch: Watch | None = None
        self._node: NodeView | None = None
        self._is_registered = self._is_tainted = False
        self._tracker = HealthTracker(HealthPolicy())
        self._report = HealthReporter(agent, services, sink)
        self._verdicts: tuple[Verdict, ...] = ()
        self._inventory: Inventory | None = None
        self._found = NodeFacts()
        self._is_looking, self._looked_at = False, services.clock()

    def start(self, ignored: Sequence[str] = ()) -> None:
        """Goes on where the last process of this boot ended. ignored: words for health checks that mean nothing."""
        if ignored:
            log.warning("health_checks_ignored", words=list(ignored), why="they are neither Xids nor `xids` nor `all`")
        self._tracker.healths = self._file.read(self._services.clock())
        self._decide()

    def node_seen(self, view: NodeView) -> None:
        """A Node that was made anew knows nothing of us."""
        if self._node is not None and self._node.uid != view.uid:
            self._sink.forget()
        self._node = view

    def registered(self) -> None:
        """The kubelet has all that is advertised."""
        if not self._is_registered:
            self._is_registered, self._is_tainted = True, False
            self._sink.taint(False)

    def asked(self) -> None:
        """A look is under way."""
        self._is_looking = True

    def looked(self, inventory: Inventory, began: float) -> None:
        """A look has ended. What it found may be a little older than its beginning, see InventorySource."""
        if self._watch is not None and _may_differ(self._inventory, inventory):
            self._watch.refresh()
        self._inventory, self._found = inventory, self._facts(None)
        self._ended()
        if inventory.driver is None:
            self._tracker.without_driver()
        else:
            self._tracker.looked(inventory, began - FRESH)
        self._decide()

    def unwatched(self) -> None:
        """A look was refused, because NVML is closed on request: no event of it comes either."""
        self._tracker.unwatched()

    def failed(self, error: NodeError) -> None:
        """A look failed."""
        self._found = self._facts(error)
        self._ended()
        if isinstance(error, NvmlError) and error.code == DRIVER_NOT_LOADED:
            self._tracker.without_driver()
            self._decide()

    def take(self, policy: HealthPolicy, plan: Plan) -> bool:
        """Takes what happened since the last time; whether that asks for a look. plan: what is advertised now."""
        taken = self.box.take()
        self._tracker.policy = policy
        struck = self._tracker.happened(taken.xids)
        self._report.xids(struck, plan)
        if struck:
            self._decide()
        self._report.verdicts(self._verdicts, plan)
        return taken.wants_look or bool(struck)

    def mark(self, plan: Plan) -> Plan:
        return mark_plan(plan, self._verdicts)

    def next_look(self) -> float | None:
        """When a look can change something, if none is under way; monotonic seconds."""
        due = None if self._is_looking else self._tracker.next_look()
        return None if due is None else max(due + FRESH, self._looked_at + SOONEST)

    def judge(self, plan: Plan) -> None:
        """plan: what is advertised now, after all marks."""
        self._report.judged(judge(self._found, self._inventory, count_offered(plan, self._verdicts)))

    @property
    def problem(self) -> str | None:
        """Why nobody tells us what happens, on a node where somebody should."""
        inventory = self._inventory
        if inventory is None or inventory.platform is not Platform.NVML or not inventory.gpus:
            return None
        return self.box.problem

    def opened(self) -> None:
        """GPUs are to be advertised from now on. A Node that never had any to offer gets no pods before it has."""
        if self._node is not None and not self._is_registered and not had_gpus(self._node):
            self._is_tainted = True
            self._sink.taint(True)
        if self._start_watch is not None:
            self._watch = self._start_watch(self.box, self._tracker.uuid_of)
            self._watch.start()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def closed(self) -> None:
        """Nothing is advertised on this Node any more, as its labels have it."""
        self.close()
        if self._is_tainted:
            self._is_tainted = False
            self._sink.taint(False)
        self._inventory = None
        self._ended()
        self._report.judged(NOT_ASKED_FOR)

    def _ended(self) -> None:
        self._is_looking, self._looked_at = False, self._services.clock()

    def _decide(self) -> None:
        self._verdicts = self._tracker.verdicts()
        self._file.write(self._tracker.healths)


def _may_differ(before: Inventory | None, now: Inventory) -> bool:
    """Whether there may be GPUs that the watch does not know. A lost one comes back only for who asks anew."""
    if now.faults or any(state.lost for state in now.states):
        return True
    return before is not None and {gpu.uuid for gpu in before.gpus} != {gpu.uuid for gpu in now.gpus}
