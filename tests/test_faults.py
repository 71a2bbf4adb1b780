"""Faults of programs that write files on the node: SIGKILL at any time, and a full disk."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_core.domain.cdi_schema import problems_of
from gpu_core.health.state_file import StateFile
from gpu_core.host.release_requests import read_requests

CDI_FILE = "k8s.device-plugin.nvidia.com-gpu.json"
WRITERS = {
    "health": """
from gpu_core.health.state_file import StateFile
from gpu_core.domain.health import Health, Incident
from gpu_core.domain.xid import XidClass
def write(folder, at):
    incident = Incident(xid=48, kind=XidClass.RESET, at=at * 10.0)
    StateFile(folder / "file", "boot").write({("GPU-0", None): Health(incidents=(incident,))})
""",
    "labels": """
from node_core.domain.desired import Outputs
from node_core.publish.writer import write_outputs
from node_core.publish.lines import FileWriter
from node_core.errors import PublishError
def write(folder, at):
    try:
        write_outputs(FileWriter(folder / "file"), Outputs(labels={f"example.com/{n}": str(at) for n in range(100)}))
    except PublishError as error:
        print(error, flush=True)
""",
    "release": """
from gpu_core.host.release_requests import write_request
def write(folder, at):
    try:
        write_request(folder, "file", 60 + at)
    except OSError as error:
        print(error, flush=True)
""",
    "CDI": """
from gpu_core.cdi.plan import CdiPlan
from gpu_core.cdi.write import SpecWriter
from gpu_core.domain.cdi import CdiDevice, Edits, Spec
def write(folder, at):
    devices = tuple(CdiDevice(name=f"gpu{n}", edits=Edits(env=(f"AT={at}",))) for n in range(100))
    spec = Spec(kind="k8s.device-plugin.nvidia.com/gpu", devices=devices)
    print(*SpecWriter(folder).write(CdiPlan(specs={spec.file_name: spec})), flush=True)
""",
}
"""Functions that write different content at each call, by name."""
LOOP = """
import sys, itertools
from pathlib import Path
for at in itertools.count(int(sys.argv[2])):
    write(Path(sys.argv[1]), at)
    print("wrote", flush=True)
"""
FULL = """
import resource, signal, sys
from pathlib import Path
write(Path(sys.argv[1]), 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
write(Path(sys.argv[1]), 2)
"""
"""No file may grow. The errors are those of a full disk, without a separate file system."""


def health_is_complete(folder: Path) -> bool:
    return bool(StateFile(folder / "file", "boot").read(1e12))


def labels_are_complete(folder: Path) -> bool:
    lines = (folder / "file").read_text().splitlines()
    return len(lines) == 100 and len({line.partition("=")[2] for line in lines}) == 1


def release_is_complete(folder: Path) -> bool:
    (found,) = read_requests(folder, lambda: 0.0)
    return found.problem is None


def cdi_is_complete(folder: Path) -> bool:
    return problems_of(json.loads((folder / CDI_FILE).read_text())) == []


COMPLETE: dict[str, Callable[[Path], bool]] = {
    "health": health_is_complete,
    "labels": labels_are_complete,
    "release": release_is_complete,
    "CDI": cdi_is_complete,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_that_is_killed_leaves_a_complete_file(name: str, tmp_path: Path) -> None:
    chance = random.Random(name)
    for start in (0, 1000, 2000):
        command = [sys.executable, "-c", WRITERS[name] + LOOP, str(tmp_path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(1, 60)):
                writer.stdout.readline()
            writer.kill()
        assert COMPLETE[name](tmp_path)
    left = [path.name for path in tmp_path.iterdir() if path.name not in ("file", CDI_FILE)]
    assert len(left) <= 3, "a killed writer leaves at most one temporary file"
    assert all(each.startswith(".") or each.endswith(".tmp") for each in left)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_previous_file(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITERS[name] + FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert COMPLETE[name](tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
