"""A running agent applies a changed config file, and ignores an invalid one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node_core.host.atomic_write import write_atomically
from tests.waiting import until


@dataclass
class Agent:
    """nfd-lite as a process, publishing to a file."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def labels(self) -> set[str]:
        """Returns the sources of the labels."""
        path = self.folder / "labels"
        lines = path.read_text().splitlines() if path.exists() else []
        return {line.partition("/")[2].partition("-")[0] for line in lines}

    @property
    def log(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in (self.folder / "log").read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]

    def logged(self, event: str) -> int:
        return sum(entry["event"] == event for entry in self.log)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    for path in ("sys/bus/node/devices/node0", "sys/bus/node/devices/node1", "proc/sys/kernel", "etc"):
        (tmp_path / "host" / path).mkdir(parents=True)
    (tmp_path / "host" / "proc/sys/kernel/osrelease").write_text("6.8.0\n")
    (tmp_path / "config").write_text("core: {labelSources: [kernel]}\n")
    command = [sys.executable, "-m", "nfd_lite", "--publish", "file", "--output-file", str(tmp_path / "labels"), "--config",
               str(tmp_path / "config"), "--host-root", str(tmp_path / "host"), "--http-address", "127.0.0.1:0",
               "--lock-dir", str(tmp_path), "--log-format", "json"]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, text=True, env={"PATH": os.environ["PATH"]})
    yield Agent(tmp_path, process)
    process.kill()
    process.wait()


def test_a_changed_config_file_is_applied_and_an_invalid_one_is_refused_once(agent: Agent) -> None:
    config = agent.folder / "config"
    until(lambda: agent.labels == {"kernel"})
    write_atomically(config, "core: {labelSources: [memory]}\n")
    until(lambda: agent.labels == {"memory"})
    write_atomically(config, "core: {labelSource: [kernel]}\n")
    until(lambda: agent.logged("settings_refused") == 1)
    (refused,) = (entry for entry in agent.log if entry["event"] == "settings_refused")
    assert refused["problems"] == [f"{config}: core.labelSource: unknown key (did you mean labelSources?)"]
    assert agent.labels == {"memory"}
    until(lambda: any(entry.get("check") == "nfd-lite/settings" for entry in agent.log))
    (check,) = (entry for entry in agent.log if entry["event"] == "not_ready" and entry["check"] == "nfd-lite/settings")
    assert "did you mean labelSources?" in check["why"]
    assert check["why"].endswith("; the running settings remain in use, but the next start would fail")
    write_atomically(config, "core: {labelSources: [memory, kernel]}\n")
    until(lambda: agent.labels == {"kernel", "memory"})
    assert agent.logged("settings_refused") == 1
    assert agent.logged("restarting") == 2
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(timeout=60) == 0
