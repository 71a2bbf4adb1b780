"""Agents are found by their locks, and the command line of an agent by the process that has the lock."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.doctor.agents import find_agent, find_program
from node_core.runtime.instance_lock import InstanceLock

AGENT = "gpu-device-plugin"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[InstanceLock]:
    lock = InstanceLock(tmp_path / "run", AGENT, "n1")
    assert lock.acquire() is None
    yield lock
    lock.release()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with this process as a plugin."""
    folder = tmp_path / "proc" / str(os.getpid())
    folder.mkdir(parents=True)
    (folder / "root").symlink_to("/")
    (folder / "fd").symlink_to(f"/proc/{os.getpid()}/fd")
    (folder / "cmdline").write_bytes(b"/usr/bin/python3\0/opt/bin/gpu-device-plugin\0--host-root=/host\0")
    (folder / "environ").write_bytes(b"NODE_NAME=n1\0EMPTY=\0broken\0A=b=c\0")
    return folder.parent


@pytest.mark.usefixtures("lock")
def test_a_running_agent_has_its_arguments_and_environment(tmp_path: Path, proc: Path) -> None:
    for node_name in ("n1", ""):
        found = find_agent(tmp_path / "run", AGENT, node_name, proc)
        assert (found.is_running, found.node_name) == (True, "n1")
        assert found.sentence == f"gpu-device-plugin runs (process {os.getpid()}, gpu-device-plugin)"
        assert found.process is not None
        assert found.process.arguments == ("--host-root=/host",)
        assert found.process.environment == {"NODE_NAME": "n1", "EMPTY": "", "A": "b=c"}


def test_an_agent_that_ended_does_not_run(tmp_path: Path, lock: InstanceLock, proc: Path) -> None:
    lock.release()
    found = find_agent(tmp_path / "run", AGENT, "n1", proc)
    assert (found.is_running, found.process) == (False, None)
    assert found.sentence == f"gpu-device-plugin does not run: no process has its lock in {tmp_path}/run"


@pytest.mark.usefixtures("lock")
def test_an_agent_of_another_node_is_not_the_agent_of_this_node(tmp_path: Path, proc: Path) -> None:
    assert find_agent(tmp_path / "run", AGENT, "n2", proc).is_running is False
    assert find_agent(tmp_path / "run", "gfd", "n1", proc).is_running is False


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("change", ["no process", "another program", "another root", "lock not open", "garbage"])
def test_a_process_that_is_not_the_owner_of_the_lock_is_in_another_container(
    change: str, tmp_path: Path, proc: Path
) -> None:
    folder = proc / str(os.getpid())
    match change:
        case "no process":
            folder.rename(proc / "1")
        case "another program":
            (folder / "cmdline").write_bytes(b"/sbin/init\0")
        case "another root":
            (folder / "root").unlink()
            (folder / "root").symlink_to(tmp_path)
        case "lock not open":
            (folder / "fd").unlink()
            (folder / "fd").mkdir()
        case _:
            (tmp_path / "run" / f"{AGENT}.n1.lock").write_bytes(b"\xff\0 1")
    found = find_agent(tmp_path / "run", AGENT, "n1", proc)
    assert (found.is_running, found.process) == (True, None)
    assert found.sentence == "gpu-device-plugin runs (in another container or as another user)"


@pytest.mark.usefixtures("lock")
def test_with_agents_of_several_nodes_the_name_of_the_node_is_needed(tmp_path: Path, proc: Path) -> None:
    other = InstanceLock(tmp_path / "run", AGENT, "n2")
    assert other.acquire() is None
    found = find_agent(tmp_path / "run", AGENT, "", proc)
    other.release()
    assert found.is_running is None
    assert found.sentence == "gpu-device-plugin runs for several Nodes (n1, n2): select one with --node-name"


def test_without_locks_it_is_unknown_whether_an_agent_runs(tmp_path: Path) -> None:
    assert find_agent(None, AGENT, "n1").is_running is None
    closed = tmp_path / ("x" * 300)
    found = find_agent(closed, AGENT, "n1")
    assert found.is_running is None
    assert (
        found.sentence == f"doctor cannot find gpu-device-plugin, because {closed} cannot be read: File name too long"
    )


@pytest.mark.parametrize(
    ("line", "program", "arguments"),
    [
        ("/usr/bin/python3 /usr/bin/gpu-device-plugin --a b", "gpu-device-plugin", ("--a", "b")),
        ("python3 -I -m device_plugin --a", "gpu-device-plugin", ("--a",)),
        ("python3 -m nfd_lite", "nfd-lite", ()),
        ("/usr/bin/python3 /usr/bin/gpu-dra-driver --a", "gpu-dra-driver", ("--a",)),
        ("python3 -m gfd --a", "gfd", ("--a",)),
        ("python3 /opt/bin/gpunode run --a", "gpunode run", ("--a",)),
        ("python3 -m gpunode run", "gpunode run", ()),
    ],
)
def test_the_programs_of_agents_are_recognized(line: str, program: str, arguments: tuple[str, ...]) -> None:
    found = find_program(tuple(line.split()))
    assert found is not None
    assert (found[0].name, found[1]) == (program, arguments)
    assert found[0].module


@pytest.mark.parametrize(
    "line", ["", "/sbin/init", "python3 -m gpunode doctor", "bash -c sleep 1 2 3 4 5 6 gfd", "gpunode"]
)
def test_other_programs_are_not_agents(line: str) -> None:
    assert find_program(tuple(line.split(" "))) is None
