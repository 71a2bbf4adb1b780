"""gpu-operator as a controller. One thread plans and writes; kopf observes the cluster in another thread, and only the leader writes.

All changes that arrive during a pass or within SETTLE_SECONDS cause one pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gpu_core.pods.claimants import ClaimantFinder
from gpu_operator.assembly import Shared, add_feature_groups, add_garbage_collector
from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.cluster.writer import NAME, ClusterWriter
from gpu_operator.plan.cluster_plan import ClusterPlan, plan_cluster
from gpu_operator.plan.driver_pods import EXCLUDED
from gpu_operator.render.pod import OperatorImages
from gpu_operator.settings import OperatorSettings
from gpu_operator.upgrade.upgrader import Upgrader
from gpu_operator.upgrade.waits import add_upgrades
from gpu_operator.view import ClusterView
from gpu_operator.watch.service import ClusterWatch
from gpu_operator.workloads import add_workloads
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.cluster import read_cluster
from node_core.kube.http import ApiClient
from node_core.runtime import metrics
from node_core.runtime.control_loop import Timers
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, Resync
from node_core.runtime.process import ProcessSpec
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings

log = structlog.get_logger(__name__)

RECONCILE = "reconcile"
SETTLE_SECONDS = 1.0
"""Seconds between a change and the pass, in which further changes arrive."""
RETRIES = Backoff(first=1.0, maximum=60.0)
CHECK = f"{NAME}/cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """is_complete: False if a write failed, and the pass must be repeated. after_s: seconds until a pass is needed without a change."""

    is_complete: bool = True
    after_s: float | None = None


class OperatorController:
    """read_view: returns the state of the cluster, or None while it is unknown.

    run_pass: plans and writes. It raises KubeError if the API server does not respond, and NotLeaderError if another controller leads.
    interval: seconds between passes without changes, None for never.
    """

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        is_leader: Callable[[], bool],
        read_view: Callable[[], ClusterView | None],
        run_pass: Callable[[ClusterView], PassResult],
        interval: float | None,
    ) -> None:
        self._services, self._timers = services, timers
        self._is_leader, self._read_view, self._run_pass = is_leader, read_view, run_pass
        self._interval = interval
        self._is_settling = False
        self._failures = 0
        self._after_s: float | None = None

    def start(self) -> None:
        self._schedule()

    def handle(self, message: AgentMessage) -> None:
        if isinstance(message, InputsChanged | Resync):
            self._schedule()

    def timer(self, name: str) -> None:
        if name == RECONCILE:
            self._is_settling = False
            self._pass()

    def reconcile(self) -> None:
        """Does nothing: each change schedules a pass."""

    def close(self, *, is_final: bool) -> None:
        """Does nothing: the services stop by themselves."""

    def _schedule(self) -> None:
        """Schedules a pass, unless one is scheduled for a change: frequent changes must not delay it for ever."""
        if not self._is_settling:
            self._is_settling = True
            self._timers.set_after(RECONCILE, SETTLE_SECONDS)

    def _pass(self) -> None:
        if not self._is_leader():
            self._stand_by()
            return  # the lead causes a pass
        if (view := self._read_view()) is None:
            return  # a complete view causes a pass
        began = self._services.clock()
        problem = self._try_pass(view)
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._services.metrics.set(metrics.PASS_SECONDS, self._services.clock() - began, agent=NAME)
        self._services.readiness.report(CHECK, problem)
        self._failures = 0 if problem is None else self._failures + 1
        if self._failures:
            self._timers.set_after(RECONCILE, RETRIES.delay(self._failures, self._services.chance()))
        elif (after := min(filter(None, (self._interval, self._after_s)), default=None)) is not None:
            self._timers.set_after(RECONCILE, after)

    def _stand_by(self) -> None:
        """Forgets the results of the last pass as the leader: the leader reports the Nodes and the problems."""
        self._failures = 0
        self._services.readiness.report(CHECK, None)
        self._services.metrics.replace(metrics.DRIVER_NODES, NAME, {})

    def _try_pass(self, view: ClusterView) -> str | None:
        """Returns why the pass must be repeated, or None."""
        try:
            result = self._run_pass(view)
        except NotLeaderError as error:
            log.info("pass_ended", why=str(error))
            self._stand_by()
            return None
        except KubeError as error:
            self._services.metrics.add(metrics.ERRORS, agent=NAME, check="cluster")
            return str(error)
        self._after_s = result.after_s
        return None if result.is_complete else "a write failed: see the log and the status of the NVIDIADrivers"


class Reconciler:
    """One pass: reads the pods of the Nodes that are upgraded, plans, and writes. Used by one thread. namespace: of the driver pods."""

    def __init__(
        self, services: Services, *, api: ApiClient, writer: ClusterWriter, namespace: str, images: OperatorImages
    ) -> None:
        self._services, self._api, self._writer = services, api, writer
        self._namespace, self._images = namespace, images
        self._claimants = ClaimantFinder(api)
        self._upgrader = Upgrader(api, clock=services.clock, wall=services.wall)

    def run(self, view: ClusterView) -> PassResult:
        """Raises KubeError; see ClusterWriter.apply."""
        view = add_workloads(view, self._api, self._claimants)
        plan = add_upgrades(plan_cluster(view, self._namespace, self._images), self._upgrader.status(view))
        self._services.metrics.replace(metrics.DRIVER_NODES, NAME, count_nodes(plan))
        upgrades = self._upgrader.reconcile(view)  # first: its writes need the Nodes as they are in the view
        for why in upgrades.failures:
            log.warning("driver_upgrade_step_failed", why=why)
        is_written = self._writer.apply(plan, view, now=rfc3339(self._services.wall()))
        return PassResult(is_complete=is_written and not upgrades.failures, after_s=upgrades.after_s)


def count_nodes(plan: ClusterPlan) -> dict[tuple[str, ...], int]:
    """Returns the samples of the metric DRIVER_NODES."""
    samples: dict[tuple[str, ...], int] = {}
    for name, state in plan.states.items():
        excluded = sum(wait.reason in EXCLUDED for wait in state.waits.values())
        waiting = len(state.waits) - excluded
        nodes = {node for pool in state.pools for node in pool.nodes}
        samples |= {
            (NAME, name, "ready"): len(nodes - state.waits.keys()),
            (NAME, name, "waiting"): waiting,
            (NAME, name, "excluded"): excluded,
        }
    return samples


def build_operator(settings: OperatorSettings, common: CommonSettings, services: Services) -> ProcessSpec:
    """Builds the controllers and their services without starting them."""
    shared = Shared(settings, common, services)
    if settings.drivers:
        _add_drivers(shared)
    if settings.feature_groups:
        add_feature_groups(shared)
    if settings.gc_interval is not None:
        add_garbage_collector(shared, settings.gc_interval)
    return ProcessSpec(agents=tuple(shared.agents), background_services=tuple(shared.services_to_run))


def _add_drivers(shared: Shared) -> None:
    """Adds the controller of NVIDIADrivers."""
    services, timers, mailbox = shared.services, Timers(shared.services.clock), Mailbox[AgentMessage]()
    watch = ClusterWatch(
        services,
        api=shared.api,
        connect=lambda: read_cluster(shared.common.kubeconfig),
        namespace=shared.namespace,
        on_change=lambda: mailbox.post(InputsChanged()),
    )
    writer = ClusterWriter(
        shared.api,
        services,
        on_unknown=watch.require_check,
        record=lambda event: shared.recorder.record(lambda: (event,)),
    )
    reconciler = Reconciler(
        services, api=shared.api, writer=writer, namespace=shared.namespace, images=shared.settings.images
    )
    controller = OperatorController(
        services,
        timers,
        is_leader=shared.elector.is_leader,
        read_view=watch.read_view,
        run_pass=reconciler.run,
        interval=shared.common.interval,
    )
    shared.services_to_run.append(watch)
    shared.add(controller, mailbox, timers)
