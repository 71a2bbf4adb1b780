"""Finds the agents that run on this node, by their locks, and reads the command line of an agent.

Source: proc(5): cmdline, environ, fd, root.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from device_plugin.agent import NAME as PLUGIN
from dra_driver.names import AGENT as DRA
from gfd.agent import NAME as GFD
from gpu_exporter.agent import NAME as EXPORTER
from nfd_lite.agent import NAME as NFD
from node_core.host.flock import is_locked
from node_core.runtime.instance_lock import instance_lock_path

PROC = Path("/proc")
MAX_WORDS = 8
"""The program is one of the first words of a command line: `python3 -I -m gpunode run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that runs agents. module: defines its `command`."""

    name: str
    module: str
    agents: tuple[str, ...]


PROGRAMS = {
    ("nfd-lite",): Program(name="nfd-lite", module="nfd_lite.__main__", agents=(NFD,)),
    ("gfd",): Program(name="gfd", module="gfd.__main__", agents=(GFD,)),
    ("gpu-device-plugin",): Program(name="gpu-device-plugin", module="device_plugin.__main__", agents=(PLUGIN,)),
    ("gpu-exporter",): Program(name="gpu-exporter", module="gpu_exporter.__main__", agents=(EXPORTER,)),
    ("gpu-dra-driver",): Program(name="gpu-dra-driver", module="dra_driver.__main__", agents=(DRA,)),
    ("gpunode", "run"): Program(name="gpunode run", module="gpunode.run", agents=(NFD, GFD, PLUGIN, EXPORTER)),
}
"""The words that name a program -> the program."""
MODULES = {
    "nfd_lite": "nfd-lite", "device_plugin": "gpu-device-plugin", "dra_driver": "gpu-dra-driver", "gpu_exporter": "gpu-exporter",
}  # fmt: skip
"""Modules that run with `python3 -m` -> the name of the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProcess:
    """The process of an agent. arguments: without the name of the program."""

    pid: int
    program: Program
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def command(self) -> click.Command:
        command: click.Command = import_module(self.program.module).command
        return command


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """is_running: None if unknown. sentence: the state, or why the state is unknown. process: None if the process cannot be read.

    node_name: the Node that the agent serves; empty if unknown.
    """

    agent: str
    is_running: bool | None
    sentence: str
    node_name: str = ""
    process: AgentProcess | None = None


def find_agent(folder: Path | None, agent: str, node_name: str, proc: Path = PROC) -> AgentState:
    """folder: of the locks; None if the agents have no locks. node_name: empty for the Node of the only agent in the folder."""
    if folder is None:
        return AgentState(agent=agent, is_running=None, sentence=f"without --lock-dir, doctor cannot find {agent}")
    try:
        held = _held_locks(folder, agent, node_name)
    except OSError as error:
        why = f"doctor cannot find {agent}, because {folder} cannot be read: {error.strerror or error}"
        return AgentState(agent=agent, is_running=None, sentence=why)
    if len(held) > 1:
        names = ", ".join(held)
        why = f"{agent} runs for several Nodes ({names}): select one with --node-name"
        return AgentState(agent=agent, is_running=None, sentence=why)
    for name, lock in held.items():
        process = _read_process(lock, agent, proc)
        where = (
            f"process {process.pid}, {process.program.name}" if process else "in another container or as another user"
        )
        return AgentState(
            agent=agent, is_running=True, sentence=f"{agent} runs ({where})", node_name=name, process=process
        )
    return AgentState(
        agent=agent, is_running=False, sentence=f"{agent} does not run: no process has its lock in {folder}"
    )


def _held_locks(folder: Path, agent: str, node_name: str) -> dict[str, Path]:
    """Returns name of the Node -> lock file, for the locks that a process has."""
    if node_name:
        paths = {node_name: instance_lock_path(folder, agent, node_name)}
    else:
        found = sorted(folder.glob(f"{agent}.*.lock"))
        paths = {path.name.removeprefix(f"{agent}.").removesuffix(".lock"): path for path in found}
    return {name: path for name, path in paths.items() if path.exists() and is_locked(path)}


def _read_process(lock: Path, agent: str, proc: Path) -> AgentProcess | None:
    """Returns the process that the lock file names, or None if the process is in another container or cannot be read.

    A lock file of another container contains the pid in that container, so the process must also have the lock file open.
    """
    with suppress(OSError, ValueError):
        pid = int(lock.read_bytes()[:32])
        folder = proc / str(pid)
        if not os.path.samestat((folder / "root").stat(), Path("/").stat()) or not _has_open(folder, lock):
            return None
        words = _read_words(folder / "cmdline")
        found = find_program(words)
        if found is not None and agent in found[0].agents:
            pairs = (word.partition("=") for word in _read_words(folder / "environ"))
            environment = {key: value for key, equals, value in pairs if equals}
            return AgentProcess(pid=pid, program=found[0], arguments=found[1], environment=environment)
    return None


def find_program(words: tuple[str, ...]) -> tuple[Program, tuple[str, ...]] | None:
    """Returns the program of a command line, and its arguments; None for another program. PURE."""
    for start, word in enumerate(words[:MAX_WORDS]):
        name = MODULES.get(word, Path(word).name)
        for names, program in PROGRAMS.items():
            end = start + len(names)
            if (name, *words[start + 1 : end]) == names:
                return program, words[end:]
    return None


def _has_open(process: Path, file: Path) -> bool:
    expected = file.stat()
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):  # closed since, or a socket
            if os.path.samestat(descriptor.stat(), expected):
                return True
    return False


def _read_words(path: Path) -> tuple[str, ...]:
    return tuple(os.fsdecode(word) for word in path.read_bytes().removesuffix(b"\0").split(b"\0"))
