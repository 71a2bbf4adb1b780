"""Threads, health endpoints, and processes that continue after an exception."""

import contextlib
import io
import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from node_core.errors import SettingsError
from node_core.runtime import metrics
from node_core.runtime.http import render_healthz, render_readyz
from node_core.runtime.http_port import parse_address
from node_core.runtime.log import LogFormat, configure_log
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.process import (
    CONFIG_CHANGED,
    STOP_SECONDS,
    ProcessRunner,
    ProcessSpec,
    Program,
    _run_until_signal,
    run_program,
)
from node_core.runtime.readiness import STUCK_AFTER, Readiness
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.runtime.signals import SignalQueue
from node_core.values import replace
from tests.waiting import until


def common(address: str = "127.0.0.1:0") -> CommonSettings:
    return CommonSettings(
        node_name="n", kubeconfig=None, simulate=None, host_root=Path("/"), oneshot=False, interval=None,
        address=address, log_format="json", log_level="info", lock_dir=Path("/nonexistent"),
    )  # fmt: skip


class Counting:
    """An agent that counts its runs."""

    name = "counting"

    def __init__(self, services: Services) -> None:
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self.services = services
        self.runs = 0
        self.closed = False
        self.closed_finally: bool | None = None

    def run(self) -> None:
        self.runs += 1
        self.services.readiness.report("counting/running", None)
        while not isinstance(self.mailbox.get(), Stop):
            pass

    def close(self, *, is_final: bool) -> None:
        self.closed = True
        self.closed_finally = is_final


@pytest.fixture
def agents() -> list[Counting]:
    return []


@pytest.fixture
def running(agents: list[Counting]) -> Iterator[Callable[[], ProcessRunner]]:
    started: list[ProcessRunner] = []

    def start() -> ProcessRunner:
        def build(services: Services) -> ProcessSpec:
            agents.append(Counting(services))
            return ProcessSpec(agents=agents)

        running = ProcessRunner(Program(common=common(), build=build), Services(chance=lambda: -0.999))
        started.append(running)
        running.start()
        return running

    yield start
    for one in started:
        one.stop()


def get(running: ProcessRunner, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.health.port}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_healthz_readyz_and_metrics_are_served(running: Callable[[], ProcessRunner], agents: list[Counting]) -> None:
    process = running()
    until(lambda: agents[0].runs == 1)
    until(lambda: get(process, "/readyz") == (200, "[+]counting/running ok\nready\n"))
    process.services.readiness.report("api", "the API server does not respond")
    assert get(process, "/readyz") == (
        503,
        "[-]api the API server does not respond\n[+]counting/running ok\nnot ready\n",
    )
    assert get(process, "/healthz") == (200, "ok\n")
    assert 'gpunode_not_ready{check="api"} 1.0' in get(process, "/metrics")[1]
    assert get(process, "/other")[0] == 404


def test_only_declared_metrics_are_exported() -> None:
    services = Services()
    for metric in metrics.ALL:
        if metric.kind == "counter":
            services.metrics.add(metric, 1, **dict.fromkeys(metric.labels, "x"))
        else:
            services.metrics.set(metric, 1, **dict.fromkeys(metric.labels, "x"))
    lines = services.metrics.render().decode().splitlines()
    names = {line.partition(" ")[0].partition("{")[0] for line in lines if not line.startswith("#")}
    assert names == {f"gpunode_{each.name}{'_total' if each.kind == 'counter' else ''}" for each in metrics.ALL}


def test_healthz_fails_if_the_thread_of_a_running_agent_has_ended(
    running: Callable[[], ProcessRunner], agents: list[Counting]
) -> None:
    process = running()
    until(lambda: agents[0].runs == 1)
    agents[0].mailbox.post(Stop())  # the process received no signal
    until(lambda: agents[0].closed)
    until(lambda: get(process, "/healthz") == (503, "the thread of counting has ended\n"))
    process.stop()
    assert process.services.readiness.liveness_problems() == ()


def test_healthz_reports_a_background_service_whose_thread_has_ended() -> None:
    class Watch:
        problem: str | None = None

        def start(self) -> None: ...

        def stop(self) -> None: ...

        def liveness_problem(self) -> str | None:
            return self.problem

    watch = Watch()
    running = ProcessRunner(
        Program(common=common(), build=lambda _: ProcessSpec(agents=(), background_services=(watch,)))
    )
    running.start()
    assert get(running, "/healthz") == (200, "ok\n")
    watch.problem = "the thread watch has ended: a fault\nok"
    assert get(running, "/healthz") == (503, "the thread watch has ended: a fault?ok\n")
    running.stop()


def test_healthz_fails_if_an_agent_has_no_heartbeat() -> None:
    now = [0.0]
    readiness = Readiness(lambda: now[0])
    readiness.beat("gfd")
    assert render_healthz(readiness) == (200, b"ok\n")
    now[0] = STUCK_AFTER + 1
    assert render_healthz(readiness) == (503, b"gfd did not respond for 300 s\n")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("", 8080)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:9", ("::1", 9)),
        ("host.name:65535", ("host.name", 65535)),
    ],
)
def test_addresses_are_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["abc", ":65536", ":99999", "::1", "[::1]:x", ":-1", "127.0.0.1", "/tmp/sock", ":", "::1:80"]
)
def test_other_text_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


def test_stop_does_not_wait_forever() -> None:
    released = threading.Event()

    class Blocked(Counting):
        name = "blocked"

        def run(self) -> None:
            released.wait(60)

    class Slow:
        def start(self) -> None: ...

        def liveness_problem(self) -> None: ...

        def stop(self) -> None:
            released.wait(60)

    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    services = Services(clock=clock)
    built = ProcessSpec(agents=[Blocked(services)], background_services=(Slow(), Slow()))
    running = ProcessRunner(Program(common=common(), build=lambda _: built), services)
    running.start()
    running.stop()
    assert now[0] < 5
    left = [thread for thread in threading.enumerate() if thread.name in {"blocked", "stop"}]
    assert [thread.daemon for thread in left] == [True] * 3
    released.set()


def test_an_agent_may_have_a_longer_time_to_stop() -> None:
    released = threading.Event()

    class Slow:
        name = "slow"
        ended = False

        def __init__(self) -> None:
            self.mailbox: Mailbox[AgentMessage] = Mailbox()

        def run(self) -> None:
            released.wait(60)

        def close(self, *, is_final: bool) -> None:
            self.ended = True

    def clock() -> float:
        if agent.mailbox.wait_for(Stop, 0.0):
            released.set()
            return STOP_SECONDS + 1
        return 0.0

    agent = Slow()
    built = ProcessSpec(agents=[agent], stop_seconds=60.0)
    running = ProcessRunner(Program(common=common(), build=lambda _: built), Services(clock=clock))
    running.start()
    running.stop()
    assert agent.ended


def test_gauges_are_replaced_without_a_gap() -> None:
    services = Services()
    services.metrics.replace(metrics.DEVICES, "a", {("a", "gpu", "healthy"): 8, ("a", "gpu", "unhealthy"): 1})
    services.metrics.replace(metrics.DEVICES, "a", {("a", "gpu", "healthy"): 9})
    text = services.metrics.render()
    assert b'gpunode_devices{agent="a",health="healthy",resource="gpu"} 9.0' in text
    assert b"unhealthy" not in text
    services.metrics.replace(metrics.DEVICES, "b", {})
    assert b'agent="a"' in services.metrics.render(), "the samples of another agent do not change"


def test_stopping_ends_every_thread_and_closes_agents(
    running: Callable[[], ProcessRunner], agents: list[Counting]
) -> None:
    process = running()
    until(lambda: agents[0].runs == 1)
    process.stop()
    assert agents[0].closed
    assert not any(thread.name == "counting" for thread in threading.enumerate())


def signals_of(*numbers: int) -> SignalQueue:
    """A queue of the process that contains these items."""
    waiting = list(numbers)
    return cast("SignalQueue", SimpleNamespace(get=lambda: waiting.pop(0), post=waiting.append))


@pytest.mark.parametrize(
    ("number", "is_final"), [(signal.SIGHUP, False), (CONFIG_CHANGED, False), (signal.SIGTERM, True)]
)
def test_close_is_final_unless_a_new_agent_replaces_the_old_one(
    number: int, is_final: bool, agents: list[Counting]
) -> None:
    def build(services: Services) -> ProcessSpec:
        agents.append(Counting(services))
        return ProcessSpec(agents=agents)

    program = Program(common=common(), build=build)
    signals = signals_of(number)
    _run_until_signal(program, signals, lambda: program, "gfd")
    assert agents[0].closed_finally is is_final


def test_invalid_settings_at_the_start_are_printed_with_exit_status_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("node_core.runtime.process.guard_standard_error", lambda: None)

    def parse() -> Program:
        raise SettingsError(["wrong"])

    assert run_program(parse, "gfd") == 2
    assert capsys.readouterr().err == "gfd: wrong\n"


def test_invalid_settings_are_counted_and_the_running_settings_remain() -> None:
    built: list[Services] = []

    def build(services: Services) -> ProcessSpec:
        built.append(services)
        return ProcessSpec(agents=())

    def parse() -> Program:
        raise (SettingsError(["wrong"]) if next(kinds) else ZeroDivisionError("a fault"))

    kinds = iter((True, False))
    signals = signals_of(CONFIG_CHANGED, signal.SIGHUP, signal.SIGTERM)
    with capture_logs() as logs:
        assert _run_until_signal(Program(common=common(), build=build), signals, parse, "gfd") is None
    (services,) = built
    assert b'gpunode_errors_total{agent="gfd",check="settings"} 2.0' in services.metrics.render()
    assert [entry["event"] for entry in logs] == ["starting", *["settings_refused", "not_ready"] * 2, "stopping"]
    problem = services.readiness.problems()["gfd/settings"]
    assert problem == "ZeroDivisionError: a fault; the running settings remain in use, but the next start would fail"


@pytest.mark.parametrize(("number", "why"), [(CONFIG_CHANGED, "a config file changed"), (signal.SIGHUP, "SIGHUP")])
def test_settings_are_read_again_after_sighup_or_a_change_of_a_file(number: int, why: str) -> None:
    following = Program(common=common(), build=lambda _: ProcessSpec(agents=()))
    signals = signals_of(number)
    with capture_logs() as logs:
        assert _run_until_signal(following, signals, lambda: following, "gfd") is following
    assert [(entry["event"], entry.get("why")) for entry in logs] == [("starting", None), ("restarting", why)]


@pytest.mark.parametrize(("scenario", "expected"), [("t4x1", [("warning", "t4x1")]), (None, [])])
def test_a_restart_with_simulated_gpus_is_a_warning(scenario: str | None, expected: list[tuple[str, str]]) -> None:
    following = Program(common=replace(common(), simulate=scenario), build=lambda _: ProcessSpec(agents=()))
    with capture_logs() as logs:
        assert _run_until_signal(following, signals_of(signal.SIGHUP), lambda: following, "gfd") is following
    found = [(entry["log_level"], entry["scenario"]) for entry in logs if entry["event"] == "gpus_simulated"]
    assert found == expected


def test_a_used_port_does_not_stop_the_agents(running: Callable[[], ProcessRunner]) -> None:
    taken = running().health.port
    second = ProcessRunner(Program(common=common(f"127.0.0.1:{taken}"), build=lambda _: ProcessSpec(agents=())))
    second.start()
    assert second.health.port == 0
    second.stop()


def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("json", "warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("test_event", key="tab\there\nand a new line")
    line = capsys.readouterr().err
    assert json.loads(line)["key"] == "tab\there\nand a new line"
    assert line.count("\n") == 1


FORGED = "a\n2026-01-01T00:00:00Z [info] all is well\r\x1b[2J\x07\u202e\udcff"
"""A text that looks like a line of the log, terminal escape codes, and values that are not text."""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("value", [FORGED, [FORGED], {FORGED: FORGED}], ids=["text", "list", "mapping"])
def test_no_value_can_add_a_line_to_the_log(form: LogFormat, value: Any) -> None:
    stream = io.StringIO()
    configure_log(form, "warning", stream)
    structlog.get_logger().warning("test_event", why=value)
    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert not {"\r", "\x1b", "\x07", "\u202e", "\udcff"} & set(line)


def test_the_text_of_a_problem_cannot_add_a_check_to_a_response() -> None:
    readiness = Readiness()
    readiness.report("gfd/published", f"no\n[+]gfd/published ok\nready {FORGED}")
    status, body = render_readyz(readiness)
    assert status == 503
    assert [line[:3] for line in body.decode().splitlines()] == ["[-]", "not"]


@pytest.mark.parametrize(
    "sent",
    [b"\xff" * 1000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n", b"GET " + b"a" * 100_000, b""],
)
def test_invalid_requests_end_only_their_connection(sent: bytes, running: Callable[[], ProcessRunner]) -> None:
    port = running().health.port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        with contextlib.suppress(OSError):  # the server may close the connection before the whole request is sent
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in client.recv(1 << 16)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        assert response.status == 200
