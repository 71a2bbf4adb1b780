"""A log that cannot be written does not stop the agent."""

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exhaustive import params
from tests.waiting import until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def gfd(file: Path, port: int, redirection: str, stderr: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    flags = ["--simulate", "h100x8", "--publish", "file", "--output-file", str(file), "--lock-dir", ""]
    command = [sys.executable, "-m", "gfd", *flags, "--sleep-interval", "1s", "--http-address", f"127.0.0.1:{port}"]
    process = subprocess.Popen(["sh", "-c", f'exec "$@" {redirection}', "sh", *command], stderr=stderr)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def lost(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        text = response.read().decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("gpunode_log_lines_lost_total")))


@pytest.mark.parametrize("redirection", params(["2>/dev/full", "2>&-"], ids=["full", "closed"]))
def test_an_agent_continues_if_its_log_cannot_be_written(redirection: str, tmp_path: Path) -> None:
    file, port = tmp_path / "gfd", free_port()
    with gfd(file, port, redirection):
        for _ in range(3):
            until(file.is_file)
            file.unlink()
        assert lost(port) >= 3


def test_an_agent_continues_if_its_log_has_no_reader(tmp_path: Path) -> None:
    file, port = tmp_path / "gfd", free_port()
    with gfd(file, port, "", subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline()
        process.stderr.close()
        until(file.is_file)
        for _ in range(3):
            file.unlink()
            until(file.is_file)
        assert lost(port) >= 2
