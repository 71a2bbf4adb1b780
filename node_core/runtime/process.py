"""A process of one or more agents: starts them, minds them, and ends or rebuilds them on a signal.

SIGTERM, SIGINT and SIGQUIT end it; SIGHUP and a config file that says something else make it read the settings again and rebuild
everything, unless they are wrong.
"""

import queue
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import structlog

from node_core.domain.backoff import Backoff
from node_core.errors import SettingsError
from node_core.runtime import metrics
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.command import report_usage
from node_core.runtime.config_watch import ConfigWatch
from node_core.runtime.http import HealthServer
from node_core.runtime.log import LogFormat, configure_log
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.metrics_guard import cluster_guard
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings

log = structlog.get_logger(__name__)

STOP_SECONDS = 1.5
"""How long everything together may take to end before the process goes without it."""
PROVEN_SECONDS = 60.0
"""An agent that ran so long after a fault starts over with a short delay again."""
CONFIG_CHANGED = 0
"""What stands among the signals, of which none has this number, for a config file that says something else."""


class Agent(Protocol):
    """run: owns the agent's state until Stop arrives. close: gives everything back, in the same thread, after the last run."""

    name: str
    mailbox: Mailbox[AgentMessage]

    def run(self) -> None: ...

    def close(self) -> None: ...


class Part(Protocol):
    """Something beside the agents that runs in threads of its own: a watch, a schedule."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a program consists of, made from its settings but not started."""

    agents: Sequence[Agent]
    parts: Sequence[Part] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """common: the settings of the process. build: makes agents that report to the given services.

    once: what --oneshot does instead, and whether it succeeded; None where that means nothing.
    """

    common: CommonSettings
    build: Callable[[Services], Built]
    once: Callable[[Services], bool] | None = None


def run_program(parse: Callable[[], Program | None], prog: str) -> int:
    """Runs until a signal; the exit status. parse: reads flags, environment and files; None when only help was asked for."""
    try:
        program = parse()
    except SettingsError as error:
        return report_usage(error, prog)
    if program is None:
        return 0
    configure_log(cast("LogFormat", program.common.log_format), program.common.log_level)
    if program.common.oneshot and program.once is not None:
        return 0 if program.once(Services()) else 1
    signals = _catch_signals()
    following: Program | None = program
    while following is not None:
        following = _run_until_told(following, signals, parse, prog)
    return 0


def _run_until_told(
    program: Program, signals: "queue.SimpleQueue[int]", parse: Callable[[], Program | None], prog: str
) -> Program | None:
    """The program to go on with, or None to end."""
    watch = ConfigWatch(program.common.config_files, lambda: signals.put(CONFIG_CHANGED))
    running = Running(program, parts=(watch,))
    running.start()
    following = _wait(
        signals, parse, lambda: running.services.metrics.add(metrics.ERRORS, agent=prog, check="settings")
    )
    running.stop()
    return following


def _catch_signals() -> "queue.SimpleQueue[int]":
    caught: queue.SimpleQueue[int] = queue.SimpleQueue()  # its put is reentrant, as a signal handler needs
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, lambda arrived, _: caught.put(arrived))
    return caught


def _wait(
    signals: "queue.SimpleQueue[int]", parse: Callable[[], Program | None], refused: Callable[[], None]
) -> Program | None:
    """The program to go on with when the settings were read again, or None to end. Wrong settings keep what is running."""
    reasons = {int(signal.SIGHUP): "SIGHUP", CONFIG_CHANGED: "a config file changed"}
    while why := reasons.get(number := signals.get()):
        try:
            program = parse()
        except SettingsError as error:
            log.error("settings_refused", problems=error.problems, effect="the running settings stay")
        except Exception:
            log.exception("settings_refused", effect="the running settings stay")
        else:
            log.info("restarting", why=why)
            return program
        refused()
    log.info("stopping", signal=signal.Signals(number).name)
    return None


def health_server(common: CommonSettings, services: Services) -> HealthServer:
    """As the settings say: plain or with TLS, with /metrics for everybody or for those whom the cluster lets read it."""
    return HealthServer(
        common.address,
        services.readiness,
        services.metrics,
        context=CertificateFiles(common.tls.certificate, common.tls.key).context if common.tls else None,
        guard=cluster_guard(common.kubeconfig).status if common.metrics_auth else None,
    )


class Running:
    """One set of agents, alive. Also used by the demo and by tests. parts: beside those that the program builds."""

    def __init__(self, program: Program, services: Services | None = None, parts: Sequence[Part] = ()) -> None:
        self.services = services or Services()
        self.health = health_server(program.common, self.services)
        self._built = program.build(self.services)
        self._parts = (*self._built.parts, *parts)
        self._threads = [
            threading.Thread(target=self._mind, args=(agent,), name=agent.name, daemon=True)
            for agent in self._built.agents
        ]
        self._stopping = threading.Event()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        for part in self._parts:
            part.start()
        self.health.start()

    def stop(self) -> None:
        """Ends everything at once; what does not end in time is left behind, since all threads are daemons."""
        deadline = self.services.clock() + STOP_SECONDS
        self._stopping.set()
        for agent in self._built.agents:
            agent.mailbox.post(Stop())
        stops = (*(part.stop for part in self._parts), self.health.stop)
        ending = [threading.Thread(target=stop, name="stop", daemon=True) for stop in stops]
        for thread in ending:
            thread.start()
        for thread in (*self._threads, *ending):
            thread.join(max(0.0, deadline - self.services.clock()))

    def _mind(self, agent: Agent) -> None:
        """An agent never ends because of a fault of ours: it says so and starts over, later each time."""
        failures = 0
        while not self._stopping.is_set():
            began = self.services.clock()
            try:
                agent.run()
            except Exception as error:
                failures = 1 if self.services.clock() - began > PROVEN_SECONDS else failures + 1
                log.exception("agent_failed", agent=agent.name)
                self.services.readiness.failed(agent.name, f"{type(error).__name__}: {error}")
                self._stopping.wait(Backoff().delay(failures, self.services.chance()))
            else:
                break
        agent.close()
