"""Commands to a running demo."""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gpunode.demo import control
from gpunode.demo.control import KINDS, PREFIX, SOCKET, ControlSocket, Terminal, parse_fault_words, send_command
from node_core.errors import SettingsError
from tests.waiting import until


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of the client and of the demos. A unix socket's path is short."""
    with tempfile.TemporaryDirectory(prefix="t-") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        monkeypatch.delenv("KUBECONFIG", raising=False)
        yield Path(path)


class Demo:
    """A demo that polls its socket in a thread. commands: those that it has run."""

    def __init__(self, folder: Path, name: str) -> None:
        self.commands: list[Sequence[str]] = []
        self.directory = folder / f"{PREFIX}{name}"
        self.directory.mkdir()
        self._control = ControlSocket(self.directory / SOCKET)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()
        self._control.close()

    def _poll(self) -> None:
        while not self._ending.wait(0.005):
            self._control.poll(self._run)

    def _run(self, words: Sequence[str]) -> str:
        if words == ["wrong"]:
            raise SettingsError(["one", "two"])
        self.commands.append(words)
        return f"ran {len(words)}"


@pytest.fixture
def demo(folder: Path) -> Iterator[Demo]:
    demo = Demo(folder, "a")
    yield demo
    demo.stop()


def test_the_demo_runs_the_command_and_replies(demo: Demo) -> None:
    assert send_command(["fault", "lost", "gpu=3"]) == "ran 3"
    assert demo.commands == [["fault", "lost", "gpu=3"]]


@pytest.mark.usefixtures("demo")
def test_a_refused_command_is_an_error_with_all_problems() -> None:
    with pytest.raises(SettingsError) as raised:
        send_command(["wrong"])
    assert list(raised.value.problems) == ["one", "two"]
    assert send_command(["right"]) == "ran 1"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"[1]", b"\xff\xfe"])
def test_a_client_that_sends_garbage_does_not_disturb_the_demo(demo: Demo, content: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(demo.directory / SOCKET))
        client.sendall(content)
    assert send_command(["right"]) == "ran 1"
    assert demo.commands == [["right"]]


def close_first_connection(listener: socket.socket) -> None:
    listener.accept()[0].close()


@pytest.mark.parametrize(("is_stopped", "problem"), [(True, "does not respond"), (False, "has ended")])
def test_a_demo_that_is_stopped_or_ends_is_an_error(
    folder: Path, is_stopped: bool, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CLIENT_SECONDS", 0.01 if is_stopped else 60.0)
    (folder / f"{PREFIX}a").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / f"{PREFIX}a" / SOCKET))
        listener.listen()
        ending = threading.Thread(target=close_first_connection, args=(listener,))
        if not is_stopped:
            ending.start()
        with pytest.raises(OSError, match=problem):
            send_command(["scenario"])
        if not is_stopped:
            ending.join()


@pytest.mark.usefixtures("folder")
def test_without_a_demo_the_error_says_how_to_start_one() -> None:
    with pytest.raises(OSError, match=r"no demo is running.*make demo"):
        send_command(["fault"])


def test_the_demo_of_kubeconfig_gets_the_command(demo: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = Demo(folder, "b")
    os.utime(newer.directory / SOCKET, (9e9, 9e9))
    send_command(["x"])
    assert newer.commands == [["x"]]
    monkeypatch.setenv("KUBECONFIG", f"{folder}/gone/kubeconfig:{demo.directory}/kubeconfig")
    send_command(["y"])
    assert demo.commands == [["y"]]
    newer.stop()
    (newer.directory / SOCKET).touch()
    monkeypatch.delenv("KUBECONFIG")
    send_command(["z"])  # the demo that has ended is skipped
    assert demo.commands[1:] == [["z"]]


def test_a_fault_has_the_keys_and_values_of_a_scenario_file() -> None:
    assert parse_fault_words(["lost", "gpu=0", "for=1.5"]) == {"kind": "lost", "gpu": 0, "for": 1.5}
    assert parse_fault_words(["mig", "instances=[1g.10gb, 2g.20gb]"])["instances"] == ["1g.10gb", "2g.20gb"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], f"the kind of the fault is missing. Use one of {KINDS[0]}, "),
        (["lots", "gpu=3"], "'lots' is not a kind of fault. Use one of "),
        (["lost", "3"], "'3' is not KEY=VALUE. Example: fault lost gpu=3 for=30"),
        (["lost", "=3"], "'=3' is not KEY=VALUE"),
        (["lost", "gpu="], "'gpu=' is not KEY=VALUE"),
        (["lost", "gpu=1", "gpu=2"], "gpu is specified twice"),
        (["lost", "kind=xid"], "kind is specified twice"),
        (["lost", "gpu=[1"], "gpu: line "),
    ],
)
def test_a_wrong_fault_is_an_error_that_says_what_to_write(words: list[str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        parse_fault_words(words)


def read_more(lines: list[Sequence[str]], terminal: Terminal) -> list[Sequence[str]]:
    lines += terminal.lines()
    return lines


def test_lines_of_the_terminal_are_split_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        terminal = Terminal()
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
        assert list(terminal.lines()) == []
        os.write(master, b"fault lost 'gpu=3'\n\nfault 'x\n")
        lines: list[Sequence[str]] = []
        until(lambda: len(read_more(lines, terminal)) == 2)
        assert lines == [["fault", "lost", "gpu=3"], ["fault", "'x"]]
        os.write(master, b"more\n")
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: 0)
        assert list(terminal.lines()) == []  # a background job
    os.close(master)


def test_input_that_is_not_a_terminal_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("fault lost\n")
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert list(Terminal().lines()) == []
    monkeypatch.setattr(sys, "stdin", None)
    assert list(Terminal().lines()) == []
