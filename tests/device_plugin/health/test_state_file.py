"""What Xids did is remembered until the machine boots, and a bad file hurts nobody."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_plugin.health.state_file import StateFile, read_boot_id
from node_core.domain.health import Health, Phase, Wound
from node_core.domain.inventory import GpuUuid
from node_core.domain.xid import XidClass

WOUND = Wound(xid=48, kind=XidClass.RESET, at=110.0)
HURT = Health(phase=Phase.UNHEALTHY, wounds=(WOUND,), returns=(5.0,))
HEALTHS = {(GpuUuid("GPU-0"), None): HURT, (GpuUuid("GPU-0"), 1): HURT, (GpuUuid("GPU-1"), None): Health()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "health.json"


def test_the_next_process_of_this_boot_goes_on(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "boot").read(200.0) == {part: each for part, each in HEALTHS.items() if each.wounds}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_boot_forgets(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "another").read(200.0) == {}


def test_there_is_no_file_when_there_is_nothing_to_remember(path: Path) -> None:
    file = StateFile(path, "boot")
    file.write({(GpuUuid("GPU-0"), None): Health()})
    assert not path.exists()
    file.write(HEALTHS)
    file.write({})
    assert not path.exists()


def test_the_same_is_written_once_and_a_storm_is_no_storm_of_writes(path: Path) -> None:
    file = StateFile(path, "boot")
    file.write(HEALTHS)
    before = path.stat()
    for at in range(110, 120):
        wound = Wound(xid=48, kind=XidClass.RESET, at=float(at))
        file.write(HEALTHS | {part: Health(wounds=(wound,), returns=(5.0,)) for part in list(HEALTHS)[:2]})
    assert path.stat() == before


def test_times_to_come_count_as_now(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    (health, _) = StateFile(path, "boot").read(50.0).values()
    assert health.wounds[0].at == 50.0


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00" * 100, b"{}", b"[1]", b'{"version":1,"boot_id":"boot","gpus":[{"gpu":7}]}',
        b'{"version":2,"boot_id":"boot","gpus":[]}', b'{"version":1,"boot_id":"boot","gpus":[{"gpu":"G","wounds":[{"xid":1}]}]}',
        b"{" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_we_did_not_write_says_nothing(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert StateFile(path, "boot").read(1.0) == {}
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "boot").read(200.0)


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_too_strange(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "health.json"
    file.write_bytes(content)
    assert StateFile(file, "boot").read(1.0) == {}


def test_a_place_that_cannot_be_written_or_read_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    file = StateFile(tmp_path / "run" / "health.json", "boot")
    file.write(HEALTHS)
    file.write(HEALTHS)
    assert file.read(1.0) == {}
    folder = StateFile(tmp_path, "boot")
    folder.write(HEALTHS)
    assert folder.read(1.0) == {}


WRITER = """
import sys
from pathlib import Path
from device_plugin.health.state_file import StateFile
from node_core.domain.health import Health, Wound
from node_core.domain.xid import XidClass

for at in range(10**9):
    wound = Wound(xid=48, kind=XidClass.RESET, at=at * 10.0)
    StateFile(Path(sys.argv[1]), "boot").write({("GPU-0", None): Health(wounds=(wound,))})
    print(at, flush=True)
"""


def test_a_process_that_is_killed_while_writing_leaves_a_whole_file(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        writer.kill()
    assert StateFile(path, "boot").read(1e12)


def test_without_a_boot_id_nothing_is_kept(path: Path, tmp_path: Path) -> None:
    StateFile(path, "").write(HEALTHS)
    assert not path.exists()
    assert read_boot_id(tmp_path / "absent") == ""
