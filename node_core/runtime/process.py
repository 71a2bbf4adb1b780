"""A process of one or more agents: starts the agents, supervises them, and stops or rebuilds them on a signal.

SIGTERM, SIGINT and SIGQUIT end the process. After SIGHUP, or a change of a config file, the process reads the settings again, and
rebuilds all agents unless the settings are wrong.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec
import structlog

from node_core.errors import SettingsError
from node_core.runtime import metrics
from node_core.runtime.bounded_http import Context
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.command import report_usage
from node_core.runtime.config_watch import ConfigWatch
from node_core.runtime.http import Guard, HealthServer
from node_core.runtime.log import capture_library_messages, configure_log, flush_log
from node_core.runtime.log_sink import guard_standard_error
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.metrics_guard import cluster_guard
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.runtime.signals import SignalQueue
from node_core.version import VERSION

log = structlog.get_logger(__name__)

STOP_SECONDS = 1.5
"""The process exits after this many seconds even if background services have not stopped, or agents without a longer time of their own."""
CONFIG_CHANGED = 0
"""Queued in place of a signal number when a config file has changed. 0 is not a signal number."""


class Agent(Protocol):
    """run: runs the agent until Stop arrives, and continues after every fault; see control_loop.

    close: releases all resources, in the same thread, after `run`.

    is_final: the process ends. Otherwise the settings were read again, and new agents replace this agent at once.
    """

    name: str
    mailbox: Mailbox[AgentMessage]

    def run(self) -> None: ...

    def close(self, *, is_final: bool) -> None: ...


class BackgroundService(Protocol):
    """A service that runs in separate threads in addition to the agents, such as a watch or a schedule."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def liveness_problem(self) -> str | None:
        """Returns a sentence if a thread has ended before `stop`, otherwise None. Callable from any thread."""
        ...


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The agents and background services of a program. They are built, but not started.

    stop_seconds: how long the agents may take to stop.
    """

    agents: Sequence[Agent]
    background_services: Sequence[BackgroundService] = ()
    stop_seconds: float = STOP_SECONDS


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """common: the settings of the process. build: builds agents that report to the given services.

    once: runs in place of the agents with --oneshot, and returns whether the run succeeded. None: --oneshot is not supported.
    """

    common: CommonSettings
    build: Callable[[Services], ProcessSpec]
    once: Callable[[Services], bool] | None = None


def run_program(parse: Callable[[], Program | None], prog: str) -> int:
    """Runs until a signal arrives. Returns the exit status. parse: reads flags, environment and files; returns None after --help."""
    guard_standard_error()
    try:
        program = parse()
    except SettingsError as error:
        return report_usage(error, prog)
    if program is None:
        return 0
    node = program.common.node_name
    fields = {"agent": prog, **({"node": node} if node else {})}
    configure_log(program.common.log_format, program.common.log_level, fields=fields)
    capture_library_messages()
    try:
        if program.common.oneshot and program.once is not None:
            _log_start(program)
            return 0 if program.once(Services()) else 1
        signals = SignalQueue()
        following: Program | None = program
        while following is not None:
            following = _run_until_signal(following, signals, parse, prog)
    finally:
        flush_log()
    return 0


def _run_until_signal(
    program: Program, signals: SignalQueue, parse: Callable[[], Program | None], prog: str
) -> Program | None:
    """Runs the program. Returns the program that replaces it, or None to exit."""
    _log_start(program)
    watch = ConfigWatch(program.common.config_files, lambda: signals.post(CONFIG_CHANGED))
    running = ProcessRunner(program, background_services=(watch,))
    running.start()
    following = _wait(signals, parse, partial(_report_refused, running.services, prog))
    running.stop(is_final=following is None)
    return following


def _report_refused(services: Services, prog: str, problem: str) -> None:
    """Reports settings that cannot be used, until valid settings rebuild the agents: the next start of the process would fail."""
    services.metrics.add(metrics.ERRORS, agent=prog, check="settings")
    services.readiness.report(
        f"{prog.partition(' ')[0]}/settings",
        f"{problem}; the running settings remain in use, but the next start would fail",
    )


def _wait(signals: SignalQueue, parse: Callable[[], Program | None], refused: Callable[[str], None]) -> Program | None:
    """Waits for a signal. Returns the program with the new settings, or None to exit. Wrong settings change nothing."""
    reasons = {int(signal.SIGHUP): "SIGHUP", CONFIG_CHANGED: "a config file changed"}
    while why := reasons.get(number := signals.get()):
        try:
            program = parse()
        except SettingsError as error:
            log.error("settings_refused", problems=error.problems, effect="the running settings remain in use")
            refused("; ".join(error.problems))
        except Exception as error:
            log.exception("settings_refused", effect="the running settings remain in use")
            refused(f"{type(error).__name__}: {error}")
        else:
            log.info("restarting", why=why)
            return program
    log.info("stopping", signal=signal.Signals(number).name)
    return None


def _log_start(program: Program) -> None:
    log.info("starting", version=VERSION, settings=dict(program.common.changed))
    if program.common.simulate:
        effect = "labels and devices describe GPUs that do not exist"
        log.warning("gpus_simulated", scenario=program.common.simulate, effect=effect)
    for problem in program.common.misspelt:
        log.warning("environment_variable_unknown", why=problem)
    for note in program.common.notes:
        log.info("setting_without_effect", why=note)


def health_server(common: CommonSettings, services: Services) -> HealthServer:
    """Builds the health server, with TLS and authorization of /metrics according to the settings."""
    return HealthServer(
        common.address,
        services.readiness,
        services.metrics,
        context=tls_context(common, services) if common.address else None,
        guard=metrics_guard(common),
    )


def metrics_guard(common: CommonSettings) -> Guard | None:
    """Returns the function that authorizes requests for /metrics; None if all clients can read."""
    return cluster_guard(common.kubeconfig).status if common.metrics_auth else None


def tls_context(common: CommonSettings, services: Services, check: str = "http/certificate") -> Context | None:
    """Returns the function that provides the TLS context; None for plain HTTP. check: the name in readiness.

    Loads the certificate, so that a problem is reported at the start.
    """
    if common.tls is None:
        return None
    report = partial(services.readiness.report, check)
    files = CertificateFiles(common.tls.certificate, common.tls.key, report=report, wall=services.wall)
    files.context()
    return files.context


class ProcessRunner:
    """Runs a set of agents. Also used by the demo and by tests. background_services: in addition to the services of the program."""

    def __init__(
        self, program: Program, services: Services | None = None, background_services: Sequence[BackgroundService] = ()
    ) -> None:
        self.services = services or Services()
        self.health = health_server(program.common, self.services)
        self._built = program.build(self.services)
        self._background_services = (*self._built.background_services, *background_services)
        self._threads = [
            threading.Thread(target=self._run, args=(agent,), name=agent.name, daemon=True)
            for agent in self._built.agents
        ]
        self._stopping = threading.Event()
        self._is_final = True

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
            self.services.readiness.add_liveness_check(partial(self._thread_problem, thread))
        for service in self._background_services:
            service.start()
            self.services.readiness.add_liveness_check(service.liveness_problem)
        self.health.start()

    def stop(self, *, is_final: bool = True) -> None:
        """Stops all agents and services at the same time. Does not wait for threads that do not end in time: all are daemon threads.

        is_final: see Agent.
        """
        began = self.services.clock()
        self._is_final = is_final
        self._stopping.set()
        for agent in self._built.agents:
            agent.mailbox.post(Stop())
        stops = (*(service.stop for service in self._background_services), self.health.stop)
        ending = [threading.Thread(target=stop, name="stop", daemon=True) for stop in stops]
        for thread in ending:
            thread.start()
        for threads, seconds in ((self._threads, self._built.stop_seconds), (ending, STOP_SECONDS)):
            for thread in threads:
                thread.join(max(0.0, began + seconds - self.services.clock()))

    def _thread_problem(self, thread: threading.Thread) -> str | None:
        is_sound = thread.is_alive() or self._stopping.is_set()
        return None if is_sound else f"the thread of {thread.name} has ended"

    def _run(self, agent: Agent) -> None:
        structlog.contextvars.bind_contextvars(agent=agent.name)
        agent.run()
        agent.close(is_final=self._is_final)
