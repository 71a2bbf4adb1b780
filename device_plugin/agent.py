"""The life of the device plugin: the gate, the config that counts, looks at the GPUs, and what the kubelet is told.

One thread owns all of it; looks at the GPUs and changes of configs come from others, which leave what they have and wake it. It never ends
because of what it finds: it says so, serves what is sound, and looks again.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from device_plugin.allocate.choose import Choice
from device_plugin.allocate.strategies import CDI_LISTS, DeviceList
from device_plugin.answers import NodeSoftware, build_answers, choose_lists
from device_plugin.cdi.kinds import CdiClass
from device_plugin.cdi.write import SpecWriter
from device_plugin.devices import Plan
from device_plugin.following import Following
from device_plugin.health.build import build_health, look_with_nodes
from device_plugin.health.keeper import HealthKeeper
from device_plugin.looker import Looked, Looker, read_look, start_thread
from device_plugin.manager import Manager
from device_plugin.mps.compute_mode import SmiComputeModes
from device_plugin.mps.control import MpsControl
from device_plugin.mps.keeper import MpsKeeper, MpsTools
from device_plugin.mps.plan import INSIDE, plan_mps
from device_plugin.plan.node import fail_devices, fail_nameless, fail_shared, plan_devices
from device_plugin.report import Reporter
from device_plugin.settings import PluginSettings, Reread, ResponseSettings
from device_plugin.specs import MPS_CONTROL, SMI, SpecKeeper, Surroundings
from node_core.assembly import Edges, open_configs
from node_core.domain.backoff import Backoff
from node_core.domain.inventory import Inventory
from node_core.domain.labels import GPU_PRESENT, Labels
from node_core.errors import NodeError
from node_core.host.nvml.source import is_released
from node_core.runtime import metrics
from node_core.runtime.instance import InstanceLock, wait_alone
from node_core.runtime.labelling import HEARTBEAT
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, KubeletChanged, NodeLost, NodeSeen, Pass, RulesChanged, Stop
from node_core.runtime.named_config import NamedConfigs
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gpu-device-plugin"
RETRIES = Backoff(first=2.0, most=60.0)
"""When a look at the GPUs that failed is tried again."""
BELIEVED = 2
"""So many failed looks in a row make the GPUs unusable: one alone is no reason to keep pods away from them."""


class PluginAgent:
    """Serves while the Node's labels ask for it; see `gate` and `following`. What the kubelet asks is answered from the last plan.

    manager, configs, health: made with what they are to call when something changed. start: as of Looker.
    may_open: whether NVML may be open now.
    """

    def __init__(  # noqa: PLR0913 - each is an edge
        self,
        settings: PluginSettings,
        *,
        look: Callable[[ResponseSettings], Looked],
        manager: Callable[[Callable[[], None]], Manager],
        services: Services,
        health: Callable[[Callable[[], None]], HealthKeeper] | None = None,
        lock: InstanceLock | None = None,
        configs: Callable[[Callable[[], None]], NamedConfigs[PluginSettings]] | None = None,
        start: Callable[[Callable[[], None]], None] = start_thread,
        may_open: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = NAME
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self._services = services
        self._lock = lock
        self._manager = manager(self._wake)
        self._looker = Looker(lambda: self._stamped(look), self._wake, start=start)
        self._health = health(self._wake) if health else HealthKeeper(NAME, services, self._wake)
        self._mps = MpsKeeper(self._wake, may_open)
        named = configs(lambda: self.mailbox.post(RulesChanged())) if configs else None
        self._following = Following(settings, named)
        self._report = Reporter(NAME, services)
        self._labels: Labels = {}
        self._software = NodeSoftware()
        self._choice: Choice | None = None
        self._offered: tuple[Plan, tuple[DeviceList, ...]] | None = None
        self._open = False
        self._looked: Looked | None = None
        self._plan = Plan()
        self._failures: list[str] = []
        self._look_at: float | None = None

    def run(self) -> None:
        """Serves until Stop. The kubelet keeps the Node's capacity for the next process."""
        self._services.readiness.expect(f"{NAME}/node")
        if not wait_alone(self._lock, NAME, self.mailbox, self._services.readiness):
            return
        self._health.start(self._following.settings.ignored_checks)
        while not isinstance(message := self._next(), Stop):
            self._handle(message)

    def close(self) -> None:
        self._manager.close()
        self._mps.close()
        self._health.close()
        if self._lock is not None:
            self._lock.release()

    def _wake(self) -> None:
        self.mailbox.post(KubeletChanged())

    def _next(self) -> AgentMessage | None:
        self._services.readiness.beat(NAME)
        wait = self._manager.next_check(HEARTBEAT)
        if (due := self._due()) is not None:
            wait = min(wait, max(0.0, due - self._services.clock()))
        return self.mailbox.take(wait)

    def _due(self) -> float | None:
        """When to look again even if nothing happens."""
        if not self._open or self._failures:
            return self._look_at
        return self._health.next_look()

    def _handle(self, message: AgentMessage | None) -> None:
        match message:
            case NodeSeen(view):
                self._report.check("node", None)
                self._labels = view.labels
                self._health.node_seen(view)
                self._software = NodeSoftware(kubelet=view.kubelet_version, runtime=view.container_runtime)
                self._settle()
            case NodeLost(error):
                self._services.readiness.report(f"{NAME}/node", str(error))  # and go on serving as before
                self._report.failed("node")
            case RulesChanged():
                self._settle()
            case Pass():
                self._settle()
                self._look()
            case _ if (due := self._due()) is not None and self._services.clock() >= due:
                self._look()
            case _:
                pass
        self._take_look()
        self._take_health()
        if self._offered not in (None, (self._usable(), self._lists())):
            self._offer()
        self._manager.check()
        self._report.manager(self._manager, self._advertised)
        if (resources := self._advertised.resources) and resources.keys() <= self._manager.registrations.keys():
            self._health.registered()

    def _settle(self) -> None:
        """Goes by the Node's labels."""
        before = self._following.settings, self._following.plan_options
        self._following.follow(self._labels, self._report)
        is_open = self._following.settings.gate.is_open(self._labels) if self._labels else False
        self._turn(is_open and self._following.is_settled)
        if self._following.settings.responses != before[0].responses:
            self._look()  # specs are written by what they say now
        if (self._following.settings, self._following.plan_options) != before:
            self._replan()

    def _turn(self, is_open: bool) -> None:
        if is_open == self._open:
            return
        self._open = is_open
        log.info("gate_opened" if is_open else "gate_closed", label=GPU_PRESENT)
        if is_open:
            self._health.opened()
            self._look()
        else:
            self._looked, self._look_at = None, None
            self._failures.clear()
            self._serve(Plan())
            self._health.closed()

    def _look(self) -> None:
        if self._open:
            self._look_at = None
            self._services.metrics.add(metrics.PASSES, agent=NAME)
            self._health.asked()
            self._looker.ask()

    def _take_look(self) -> None:
        """What a look left for us. One that ends behind a shut gate is too late."""
        looked = self._looker.take()
        if looked is None or not self._open:
            return
        if is_released(looked):
            self._health.unwatched()
            return  # the look is still owed: all stays as it is until there is one
        if isinstance(looked, NodeError):
            self._health.failed(looked)
            self._look_failed(str(looked))
            return
        self._failures.clear()
        self._look_at = None
        self._looked = looked
        self._health.looked(looked.inventory, looked.began)
        self._report.check("gpus", None)
        self._report.check("mig-capabilities", looked.caps_problem)
        self._report.specs(looked.surroundings.notes)
        self._replan()

    def _stamped(self, look: Callable[[ResponseSettings], Looked]) -> Looked:
        """A look that knows when it began; in its own thread."""
        began = self._services.clock()
        return replace(look(self._following.settings.responses), began=began)

    def _take_health(self) -> None:
        """What happened to the GPUs meanwhile, and what becomes of it."""
        if self._health.take(self._following.settings.health, self._advertised):
            self._look()
        if self._open and (len(self._failures) >= BELIEVED or (self._looked is None) == bool(self._failures)):
            self._health.judge(self._usable())
        self._report.check("gpu-events", self._health.problem)

    def _look_failed(self, why: str) -> None:
        self._failures.append(why)
        self._look_at = self._services.clock() + RETRIES.delay(len(self._failures), self._services.chance())
        self._services.readiness.report(f"{NAME}/gpus", why)
        self._report.failed("gpus")
        if len(self._failures) >= BELIEVED:
            self._serve(fail_devices(self._plan, why))

    def _replan(self) -> None:
        """From the last look; while later ones fail, its devices stay unhealthy."""
        if self._looked is None or not self._open:
            return
        options = self._following.plan_options
        plan = plan_devices(self._looked.inventory, options, known=self._plan, caps=self._looked.caps)
        self._serve(fail_devices(plan, self._failures[-1]) if len(self._failures) >= BELIEVED else plan)

    def _serve(self, plan: Plan) -> None:
        self._report.plan(plan)
        self._plan = plan
        inventory = self._looked.inventory if self._looked else Inventory(driver=None)
        self._mps.reconcile(plan_mps(plan, inventory, self._mps.wanted), mps_tools(self._settings, self._surroundings))
        self._offer()

    def _offer(self) -> None:
        """Gives the manager what containers can use."""
        plan, lists = self._offered = self._usable(), self._lists()
        self._tell_choice()
        self._manager.reconcile(plan, build_answers(self._settings, lists, self._surroundings))

    def _usable(self) -> Plan:
        """The plan, with devices unhealthy that no container could use just now."""
        plan = self._health.mark(fail_shared(self._plan, self._mps.problems()))
        if not CDI_LISTS.isdisjoint(self._lists()):
            plan = fail_nameless(plan, self._surroundings.cdi_names.get(CdiClass.GPU, {}))
        missing = self._surroundings.missing if self._settings.imex_required else ()
        return fail_devices(plan, "; ".join(missing)) if missing else plan

    def _tell_choice(self) -> None:
        _, choice = choose_lists(self._settings, self._software, self._surroundings)
        if choice is not None and choice != self._choice and self._looked is not None:
            log.info("device_list_chosen", strategy=choice.device_list, why=choice.why)
            self._choice = choice
        self._report.check("cdi", "; ".join(self._surroundings.missing) or None)

    def _lists(self) -> tuple[DeviceList, ...]:
        return choose_lists(self._settings, self._software, self._surroundings)[0]

    @property
    def _advertised(self) -> Plan:
        """What the kubelet was told last."""
        return self._offered[0] if self._offered else Plan()

    @property
    def _settings(self) -> ResponseSettings:
        return self._following.settings.responses

    @property
    def _surroundings(self) -> Surroundings:
        return self._looked.surroundings if self._looked else Surroundings()


def mps_tools(settings: ResponseSettings, found: Surroundings) -> MpsTools:
    """NVIDIA's own programs, below the driver root or in our PATH. In a pod the MPS root is mounted where containers see it."""
    inside = Path(INSIDE)
    programs = {name: found.programs.get(name) or _in_path(name) for name in (MPS_CONTROL, SMI)}
    return MpsTools(
        root=inside if inside.is_dir() else Path(settings.mps_root or INSIDE),
        control=MpsControl(programs[MPS_CONTROL], found.libraries),
        modes=SmiComputeModes(programs[SMI], found.libraries),
        has_selinux=Path("/sys/fs/selinux/enforce").exists(),
    )


def _in_path(name: str) -> Path | None:
    path = shutil.which(name)
    return None if path is None else Path(path)


def build_agent(
    settings: PluginSettings, edges: Edges, services: Services, *, reread: Reread | None = None
) -> PluginAgent:
    """An agent that is not started yet. reread: how settings come of a config that a label names; needed with `settings.named`."""
    named = settings.named
    edges.asks_nvml = True

    def follow(changed: Callable[[], None]) -> NamedConfigs[PluginSettings]:
        assert named is not None and reread is not None  # noqa: S101, PT018  # nosec B101 # only called then
        return NamedConfigs(open_configs(edges, named.place, services, changed), named, reread)

    specs = SpecKeeper(edges.root, SpecWriter(settings.cdi_folder))

    def look(responses: ResponseSettings) -> Looked:
        return read_look(
            lambda: look_with_nodes(edges, responses), edges.root, lambda inventory: specs.look(inventory, responses)
        )

    return PluginAgent(
        settings,
        look=look,
        manager=lambda notify: Manager(
            settings.kubelet_socket.parent, settings.kubelet_socket, notify, api=settings.kubelet_api
        ),
        services=services,
        health=build_health(NAME, settings, edges, services),
        lock=edges.lock(NAME),
        configs=follow if named is not None and reread is not None else None,
        may_open=lambda: not edges.releases.is_released,
    )
