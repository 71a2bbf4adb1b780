"""Threads, health endpoints, and processes that outlive their own faults."""

import contextlib
import io
import json
import queue
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from node_core.errors import SettingsError
from node_core.runtime import metrics
from node_core.runtime.http import parse_address, render_readyz
from node_core.runtime.log import LogFormat, configure_log
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, KubeletChanged, Pass, Stop
from node_core.runtime.process import CONFIG_CHANGED, Built, Program, Running, _run_until_told
from node_core.runtime.readiness import STUCK_AFTER, Readiness
from node_core.runtime.schedule import Passes
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def common(address: str = "127.0.0.1:0") -> CommonSettings:
    return CommonSettings(
        node_name="n", kubeconfig=None, simulate=None, host_root=Path("/"), oneshot=False, interval=None,
        address=address, log_format="json", log_level="info", lock_dir=Path("/nonexistent"),
    )  # fmt: skip


class Counting:
    """An agent that counts its passes and fails at the first `faults` of them."""

    name = "counting"

    def __init__(self, services: Services, faults: int = 0) -> None:
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self.services = services
        self.faults = faults
        self.runs = 0
        self.closed = False

    def run(self) -> None:
        self.runs += 1
        if self.runs <= self.faults:
            raise ZeroDivisionError("a fault of ours")
        self.services.readiness.report("counting/running", None)
        while not isinstance(self.mailbox.take(), Stop):
            pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def agents() -> list[Counting]:
    return []


@pytest.fixture
def running(agents: list[Counting]) -> Iterator[Callable[[int], Running]]:
    started: list[Running] = []

    def start(faults: int) -> Running:
        def build(services: Services) -> Built:
            agents.append(Counting(services, faults))
            return Built(agents=agents)

        running = Running(Program(common=common(), build=build), Services(chance=lambda: -0.999))
        started.append(running)
        running.start()
        return running

    yield start
    for one in started:
        one.stop()


def get(running: Running, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.health.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_ready_and_metrics_answer(running: Callable[[int], Running], agents: list[Counting]) -> None:
    process = running(0)
    until(lambda: agents[0].runs == 1)
    until(lambda: get(process, "/readyz") == (200, "[+]counting/running ok\nready\n"))
    process.services.readiness.report("api", "the API server does not answer")
    assert get(process, "/readyz") == (
        503,
        "[-]api the API server does not answer\n[+]counting/running ok\nnot ready\n",
    )
    assert get(process, "/healthz") == (200, "ok\n")
    assert 'gpunode_not_ready{check="api"} 1.0' in get(process, "/metrics")[1]
    assert get(process, "/other")[0] == 404


def test_metrics_are_those_that_are_declared_and_no_more() -> None:
    services = Services()
    for metric in metrics.ALL:
        if metric.kind == "counter":
            services.metrics.add(metric, 1, **dict.fromkeys(metric.labels, "x"))
        else:
            services.metrics.set(metric, 1, **dict.fromkeys(metric.labels, "x"))
    lines = services.metrics.render().decode().splitlines()
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert names == {f"gpunode_{each.name}{'_total' if each.kind == 'counter' else ''}" for each in metrics.ALL}


def test_an_agent_that_fails_is_started_again(running: Callable[[int], Running], agents: list[Counting]) -> None:
    process = running(2)
    until(lambda: agents[0].runs == 3)
    until(lambda: process.services.readiness.problems()["counting/running"] is None)


def test_a_sign_of_life_ends_what_was_said_of_a_fault() -> None:
    readiness = Readiness()
    readiness.failed("gfd", "OSError: one bad moment")
    assert readiness.problems() == {"gfd/running": "OSError: one bad moment"}
    readiness.beat("gfd")
    assert readiness.problems() == {"gfd/running": None}


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


@pytest.mark.parametrize("text", ["abc", ":99999", "::1", "[::1]:x", ":-1", "127.0.0.1", "/tmp/sock", ":", "::1:80"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


def test_stopping_waits_for_nobody_for_ever() -> None:
    released = threading.Event()

    class Stubborn(Counting):
        name = "stubborn"

        def run(self) -> None:
            released.wait(30)

    class Slow:
        def start(self) -> None: ...

        def stop(self) -> None:
            released.wait(30)

    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    services = Services(clock=clock)
    built = Built(agents=[Stubborn(services)], parts=(Slow(), Slow()))
    running = Running(Program(common=common(), build=lambda _: built), services)
    running.start()
    running.stop()
    assert now[0] < 5
    released.set()


def test_gauges_are_replaced_without_a_gap() -> None:
    services = Services()
    services.metrics.replace(metrics.DEVICES, "a", {("a", "gpu", "healthy"): 8, ("a", "gpu", "unhealthy"): 1})
    services.metrics.replace(metrics.DEVICES, "a", {("a", "gpu", "healthy"): 9})
    text = services.metrics.render()
    assert b'gpunode_devices{agent="a",health="healthy",resource="gpu"} 9.0' in text
    assert b"unhealthy" not in text
    services.metrics.replace(metrics.DEVICES, "b", {})
    assert b'agent="a"' in services.metrics.render(), "another agent's samples are its own"


def test_stopping_ends_every_thread_and_closes_agents(
    running: Callable[[int], Running], agents: list[Counting]
) -> None:
    process = running(0)
    until(lambda: agents[0].runs == 1)
    process.stop()
    assert agents[0].closed
    assert not any(thread.name == "counting" for thread in threading.enumerate())


def test_wrong_settings_are_counted_and_leave_everything_as_it_is() -> None:
    built: list[Services] = []

    def build(services: Services) -> Built:
        built.append(services)
        return Built(agents=())

    def parse() -> Program:
        raise (SettingsError(["wrong"]) if next(kinds) else ZeroDivisionError("a fault of ours"))

    kinds = iter((True, False))
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (CONFIG_CHANGED, signal.SIGHUP, signal.SIGTERM):
        signals.put(number)
    with capture_logs() as logs:
        assert _run_until_told(Program(common=common(), build=build), signals, parse, "gfd") is None
    (services,) = built
    assert b'gpunode_errors_total{agent="gfd",check="settings"} 2.0' in services.metrics.render()
    assert [entry["event"] for entry in logs] == ["settings_refused", "settings_refused", "stopping"]


@pytest.mark.parametrize(("number", "why"), [(CONFIG_CHANGED, "a config file changed"), (signal.SIGHUP, "SIGHUP")])
def test_settings_are_read_again_when_that_is_asked_for(number: int, why: str) -> None:
    following = Program(common=common(), build=lambda _: Built(agents=()))
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    signals.put(number)
    with capture_logs() as logs:
        assert _run_until_told(following, signals, lambda: following, "gfd") is following
    assert [(entry["event"], entry["why"]) for entry in logs] == [("restarting", why)]


def test_a_taken_port_does_not_stop_the_agents(running: Callable[[int], Running]) -> None:
    taken = running(0).health.port
    second = Running(Program(common=common(f"127.0.0.1:{taken}"), build=lambda _: Built(agents=())))
    second.start()
    assert second.health.port == 0
    second.stop()


def test_readiness_needs_every_expected_check_and_logs_only_changes() -> None:
    now = [0.0]
    readiness = Readiness(lambda: now[0])
    readiness.expect("gfd/published")
    assert readiness.problems() == {"gfd/published": "has not happened yet"}
    readiness.report("gfd/published", None)
    readiness.expect("gfd/published")
    assert readiness.problems() == {"gfd/published": None}
    readiness.beat("gfd")
    now[0] = STUCK_AFTER + 1
    assert readiness.stuck() == ("gfd",)


def test_the_mailbox_keeps_the_newest_of_each_kind_in_order() -> None:
    box: Mailbox[AgentMessage] = Mailbox()
    for message in (Pass(), KubeletChanged(), Pass(), Pass()):
        box.post(message)
    assert [box.take(0), box.take(0), box.take(0)] == [KubeletChanged(), Pass(), None]


def test_looking_for_one_kind_of_message_takes_nothing_out() -> None:
    box: Mailbox[AgentMessage] = Mailbox()
    box.post(Pass())
    assert not box.holds(Stop, 0)
    box.post(Stop())
    assert box.holds(Stop, 0)
    assert [box.take(0), box.take(0)] == [Pass(), Stop()]


def test_the_mailbox_wakes_its_owner() -> None:
    box: Mailbox[AgentMessage] = Mailbox()
    threading.Timer(0.01, lambda: box.post(Stop())).start()
    assert box.take(10) == Stop()


def test_passes_come_by_themselves() -> None:
    came = threading.Event()
    passes = Passes(1, came.set)
    passes.start()
    assert came.wait(10)
    passes.stop()


def test_no_interval_means_no_passes() -> None:
    passes = Passes(None, lambda: pytest.fail("a pass came"))
    passes.start()
    assert passes._scheduler.get_jobs() == []
    passes.stop()


def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("json", "warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("told", key="tab\there\nand a new line")
    line = capsys.readouterr().err
    assert json.loads(line)["key"] == "tab\there\nand a new line"
    assert line.count("\n") == 1
    structlog.reset_defaults()


FORGED = "a\n2026-01-01T00:00:00Z [info] all is well\r\x1b[2J\x07\u202e\udcff"
"""A line of the log's own form, codes for a terminal, and what is no text."""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("value", [FORGED, [FORGED], {FORGED: FORGED}], ids=["text", "list", "mapping"])
def test_nobody_writes_a_line_of_the_log_but_us(form: LogFormat, value: Any) -> None:
    stream = io.StringIO()
    configure_log(form, "warning", stream)
    structlog.get_logger().warning("told", why=value)
    structlog.reset_defaults()
    (line,) = stream.getvalue().removesuffix("\n").split("\n")
    assert not {"\r", "\x1b", "\x07", "\u202e", "\udcff"} & set(line)


def test_a_problem_makes_no_check_of_its_own_in_an_answer() -> None:
    readiness = Readiness()
    readiness.report("gfd/published", f"no\n[+]gfd/published ok\nready {FORGED}")
    status, body = render_readyz(readiness)
    assert status == 503
    assert [line[:3] for line in body.decode().splitlines()] == ["[-]", "not"]


@pytest.mark.parametrize(
    "sent",
    [b"\xff" * 1000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n", b"GET " + b"a" * 100_000, b""],
)
def test_garbage_on_the_health_port_costs_its_own_connection_alone(
    sent: bytes, running: Callable[[int], Running]
) -> None:
    port = running(0).health.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as strange:
        with contextlib.suppress(OSError):  # it may have heard enough before we have said all
            strange.sendall(sent)
            strange.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in strange.recv(1 << 16)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.status == 200
