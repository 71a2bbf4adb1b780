"""The agent of NodeResourceTopology: scans the node, compares with the observed object, and writes the difference.

The agent scans when the kubelet writes its state files, or creates and removes folders or control groups of pods, and periodically.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from gpu_core.assembly import Dependencies
from nfd_lite.topology.api import topology_resource
from nfd_lite.topology.node_topology import MANAGER, NodeTopology, TopologyView
from nfd_lite.topology.publisher import ApiPublisher, PrintingPublisher, Publisher
from nfd_lite.topology.scanner import Scanner
from nfd_lite.topology.settings import TopologySettings
from node_core.domain.backoff import Backoff
from node_core.errors import HostReadError, KubeError, KubeletError, NodeError
from node_core.host.inotify import DirectoryWatch
from node_core.host.root import HostRoot
from node_core.kube.informer import Informer
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.informers import NodeInformer
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = MANAGER
SCAN, RETRY, CHANGE, FOLLOW_UP = "scan", "retry", "change", "follow-up"
FOLLOW_UP_SECONDS = 1.0
"""After a change in a folder, the node is scanned again after this time: the kubelet may list the pod later than it writes its state."""
CGROUPS = "/sys/fs/cgroup"
POD_GROUPS = tuple(
    tuple(f"{controller}{group}" for group in groups)
    for controller in ("", "pids/")
    for groups in (
        *(
            (each, f"{each}/{prefix}-burstable.slice", f"{each}/{prefix}-besteffort.slice")
            for each, prefix in (
                ("kubepods.slice", "kubepods"),
                ("kubelet.slice/kubelet-kubepods.slice", "kubelet-kubepods"),
            )
        ),
        *((each, f"{each}/burstable", f"{each}/besteffort") for each in ("kubepods", "kubelet/kubepods")),
    )
)
"""The control groups that contain those of pods: of version 2 and version 1, each with the drivers systemd and cgroupfs, in the root and in
the cgroupRoot `/kubelet` of kind."""
MIN_INTERVAL = 0.2
"""Minimum seconds between two scans because of changes, in all folders together."""
MISSING_BACKOFF = Backoff(first=5.0, maximum=60.0)
"""Delays between lists while the cluster does not have the kind."""


class TopologyController:
    """Satisfies control_loop.Controller. scan: see Scanner. observed: returns the object in the last state of the informer.

    An error retains the published object.
    """

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        scan: Callable[..., NodeTopology],
        publisher: Publisher,
        observed: Callable[[], TopologyView | None] = lambda: None,
    ) -> None:
        self._services, self._timers = services, timers
        self._scan_node, self._publisher, self._observed = scan, publisher, observed
        self._backoff = Backoff()
        self._desired: NodeTopology | None = None
        self._scanned_at = float("-inf")
        self._scan_failures = 0
        self._failures = 0
        self._written: NodeTopology | None = None
        self._restorations = 0

    def start(self) -> None:
        for check in ("scan", "published"):
            self._services.readiness.expect(f"{NAME}/{check}")
        self._timers.set_after(SCAN, 0.0)

    def handle(self, message: AgentMessage) -> None:
        match message:
            case Resync():
                self._scan(reads_config=True)
            case Wake():
                self._scan_change()
            case InputsChanged():
                self._publisher.observe(self._observed())
            case NodeChanged(view):
                self._services.readiness.report(f"{NAME}/node", None)
                self._publisher.observe_node(view)
            case NodeUnavailable(error):
                self._report(f"{NAME}/node", error)
            case _:
                pass

    def timer(self, name: str) -> None:
        """After RETRY, `reconcile` publishes again."""
        if name in (SCAN, FOLLOW_UP):
            self._scan(reads_config=name == SCAN)
        elif name == CHANGE:
            self._scan_change()

    def reconcile(self) -> None:
        """Writes the object if it differs from the observed object. Sends no request if there is no difference."""
        if self._desired is None or self._timers.is_set(RETRY):
            return
        try:
            was_written = self._publisher.publish(self._desired)
        except KubeError as error:
            self._failed(error)
            return
        if was_written is None:
            return
        self._failures = 0
        self._services.readiness.report(f"{NAME}/published", None)
        if was_written:
            self._record_write(self._desired)

    def close(self, *, is_final: bool) -> None:
        """Does nothing: the object remains."""

    def run_once(self) -> bool:
        """Scans and publishes once, for --oneshot. Returns whether both succeeded."""
        try:
            self._publisher.refresh()
        except KubeError as error:
            self._failed(error)
            return False
        self._scan(reads_config=True)
        self.reconcile()
        return self._scan_failures == 0 and self._failures == 0

    def _scan_change(self) -> None:
        """Scans after a change in a folder, or at the end of MIN_INTERVAL. Several changes in this time cause one scan."""
        due = self._scanned_at + MIN_INTERVAL
        if due > self._services.clock():
            self._timers.set_at(CHANGE, due)
            return
        self._scan(reads_config=False)
        if not self._timers.is_set(SCAN):
            self._timers.set_after(FOLLOW_UP, FOLLOW_UP_SECONDS)

    def _scan(self, *, reads_config: bool) -> None:
        self._timers.cancel(SCAN)
        self._timers.cancel(CHANGE)
        began = self._scanned_at = self._services.clock()
        try:
            desired = self._scan_node(reads_config=reads_config)
        except (HostReadError, KubeletError) as error:
            self._scan_failures += 1
            self._timers.set_after(SCAN, self._backoff.delay(self._scan_failures, self._services.chance()))
            self._report(f"{NAME}/scan", error)
            return
        self._scan_failures = 0
        self._services.readiness.report(f"{NAME}/scan", None)
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._services.metrics.set(metrics.PASS_SECONDS, self._services.clock() - began, agent=NAME)
        if desired != self._desired:
            self._desired = desired
            if not self._failures:  # the delay after an error also applies to a new state
                self._timers.cancel(RETRY)

    def _record_write(self, desired: NodeTopology) -> None:
        """Logs the write. If another client changes the object again and again, the next restoration is delayed."""
        if desired == self._written:
            self._restorations += 1
            self._timers.set_after(RETRY, self._backoff.delay(self._restorations, self._services.chance()))
            log.info("topology_restored", agent=NAME)
            return
        self._written, self._restorations = desired, 0
        log.info(
            "topology_published",
            agent=NAME,
            zones=len(desired.zones),
            policy=desired.policy.policy,
            scope=desired.policy.scope,
        )

    def _failed(self, error: KubeError) -> None:
        self._failures += 1
        self._timers.set_after(RETRY, self._backoff.delay(self._failures, self._services.chance()))
        self._report(f"{NAME}/published", error)

    def _report(self, check: str, error: NodeError) -> None:
        self._services.readiness.report(check, str(error))
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check=check.rpartition("/")[2])


class TopologyInformer(Informer[TopologyView]):
    """The informer for the object of the Node. view: the object in the last state. Readable from any thread."""

    def __init__(self, node: NodeInformer, mailbox: Mailbox[AgentMessage], services: Services) -> None:
        self.view: TopologyView | None = None
        self._name = node.api.node_name
        self._mailbox = mailbox
        self._services = services
        super().__init__(
            node.api,
            topology_resource(self._name),
            on_change=self._observe,
            on_error=self._report,
            missing_backoff=MISSING_BACKOFF,
        )

    def _observe(self, objects: Mapping[str, TopologyView]) -> None:
        self._services.readiness.report(f"{NAME}/object", None)
        self.view = objects.get(self._name)
        self._mailbox.post(InputsChanged())

    def _report(self, error: KubeError) -> None:
        self._services.readiness.report(f"{NAME}/object", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="object")


TopologyLoop = ControlLoop[TopologyController]


def build_agent(settings: TopologySettings, dependencies: Dependencies, services: Services) -> TopologyLoop:
    """Builds an agent that is not started yet. Adds the services that must run with the agent to `dependencies`."""
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)
    publisher: Publisher
    if settings.no_publish:
        publisher, informer = PrintingPublisher(dependencies.common.node_name or "node"), None
    else:
        publisher = ApiPublisher(dependencies.node.api)
        informer = TopologyInformer(dependencies.node, mailbox, services)
        dependencies.background_services.append(informer)
    controller = TopologyController(
        services,
        timers,
        scan=Scanner(settings, dependencies.root).scan,
        publisher=publisher,
        observed=lambda: None if informer is None else informer.view,
    )
    folders = find_folders(settings, dependencies.root)
    dependencies.background_services += (
        DirectoryWatch(folder, lambda: mailbox.post(Wake()), contents=True, min_interval=MIN_INTERVAL)
        for folder in folders
    )
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))


def find_folders(settings: TopologySettings, root: HostRoot) -> tuple[Path, ...]:
    """Returns the folders that change when the kubelet assigns resources to pods, or releases resources of pods.

    The kubelet writes cpu_manager_state and memory_manager_state to its folder, and kubelet_internal_checkpoint to `device-plugins`. When a
    pod starts, the kubelet creates a folder in `pods`, and a control group. The kubelet removes both when the pod has ended. The folders
    `device-plugins` and `pods` may be created later.
    """
    groups = next((each for each in POD_GROUPS if root.exists(f"{CGROUPS}/{each[0]}")), ())
    state = settings.state_dir
    of_kubelet = () if state is None else (state, state / "device-plugins", state / "pods")
    return (*of_kubelet, *(root.path(f"{CGROUPS}/{each}") for each in groups))
