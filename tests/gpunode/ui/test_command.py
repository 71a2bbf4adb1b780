"""`gpunode ui` as a process."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from gpunode.ui import command
from gpunode.ui.command import has_display
from gpunode.ui.serve import listen
from node_core.errors import NodeError
from simulation.apiserver import ApiServer
from tests.gpunode.verbs import run_verb
from tests.signals import DEFAULT_SIGNALS


def test_a_port_in_use_is_an_error() -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        with pytest.raises(
            NodeError, match=rf"cannot listen on 127.0.0.1:{port}: address already in use \(choose another"
        ):
            listen(port)


def test_a_browser_can_connect_before_the_server_runs() -> None:
    with listen(0) as listener, socket.create_connection(listener.getsockname()):
        pass


def test_a_browser_needs_a_display() -> None:
    assert not has_display({"DISPLAY": ""}, "linux")
    assert has_display({"WAYLAND_DISPLAY": "wayland-0"}, "linux")
    assert has_display({}, "darwin")


def test_without_a_kubeconfig_there_is_no_page(tmp_path: Path) -> None:
    result = run_verb("ui", "--no-browser", environment={"HOME": str(tmp_path)})
    assert result.exit_code == 1
    assert "there is no kubeconfig file" in result.stderr


def test_without_the_packages_of_the_page_the_error_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "connect", lambda *_: None)
    monkeypatch.delitem(sys.modules, "gpunode.ui.serve")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = run_verb("ui")
    assert (result.exit_code, result.stderr) == (
        1,
        "gpunode ui: the package uvicorn is not installed (run: pip install starlette uvicorn)\n",
    )


def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    with ApiServer() as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        process = subprocess.Popen(
            [
                *DEFAULT_SIGNALS,
                sys.executable,
                "-m",
                "gpunode",
                "ui",
                "--no-browser",
                "--kubeconfig",
                tmp_path / "kubeconfig",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        response = urllib3.request("GET", link, redirect=False, retries=urllib3.Retry(5, backoff_factor=0.1))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert response.status == 303
    assert (process.returncode, errors) == (130, "")
