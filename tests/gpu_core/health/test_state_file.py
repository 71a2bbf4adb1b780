"""Incidents are stored until the next boot, and a damaged file causes no error."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_core.domain.evidence import GpuState
from gpu_core.domain.health import Health, HealthPolicy, Incident, Phase, observe
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass
from gpu_core.health.state_file import StateFile

INCIDENT = Incident(xid=48, kind=XidClass.RESET, at=110.0)
HURT = Health(phase=Phase.UNHEALTHY, incidents=(INCIDENT,), returns=(5.0,))
HEALTHS = {(GpuUuid("GPU-0"), None): HURT, (GpuUuid("GPU-0"), 1): HURT, (GpuUuid("GPU-1"), None): Health()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "health.json"


def test_the_next_process_of_this_boot_restores_the_state(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "boot").read(200.0) == {part: each for part, each in HEALTHS.items() if each.incidents}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_reboot_discards_the_state(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "another").read(200.0) == {}


def test_without_incidents_there_is_no_file(path: Path) -> None:
    file = StateFile(path, "boot")
    file.write({(GpuUuid("GPU-0"), None): Health()})
    assert not path.exists()
    file.write(HEALTHS)
    file.write({})
    assert not path.exists()


def test_equal_content_is_written_once_even_in_a_storm_of_xids(path: Path) -> None:
    file = StateFile(path, "boot")
    file.write(HEALTHS)
    before = path.stat()
    for at in range(110, 120):
        incident = Incident(xid=48, kind=XidClass.RESET, at=float(at))
        file.write(HEALTHS | {part: Health(incidents=(incident,), returns=(5.0,)) for part in list(HEALTHS)[:2]})
    assert path.stat() == before


def test_a_reset_during_the_hold_down_is_restored_by_the_next_process(path: Path) -> None:
    renewed = Incident(xid=48, kind=XidClass.RESET, at=110.0, reset_at=200.0)
    StateFile(path, "boot").write({(GpuUuid("GPU-0"), None): Health(phase=Phase.RECOVERING, incidents=(renewed,))})
    (health,) = StateFile(path, "boot").read(210.0).values()
    assert health.incidents == (renewed,)
    policy = HealthPolicy()
    sound = GpuState(gpu=GpuUuid("GPU-0"), uncorrectable=0)
    for at in (211.0, 280.0):
        health = observe(health, sound, at, policy)
    assert health.phase is Phase.HEALTHY


def test_a_file_of_an_earlier_version_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(
        '{"version":1,"boot_id":"boot","gpus":[{"gpu":"GPU-0","gpu_instance":null,'
        '"wounds":[{"xid":48,"kind":"reset","at":110.0}],"returns":[5.0]}]}'
    )
    assert StateFile(path, "boot").read(200.0) == {(GpuUuid("GPU-0"), None): HURT}


def test_times_in_the_future_count_as_now(path: Path) -> None:
    StateFile(path, "boot").write(HEALTHS)
    (health, _) = StateFile(path, "boot").read(50.0).values()
    assert health.incidents[0].at == 50.0


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00" * 100, b"{}", b"[1]", b'{"version":1,"boot_id":"boot","gpus":[{"gpu":7}]}',
        b'{"version":2,"boot_id":"boot","gpus":[]}', b'{"version":1,"boot_id":"boot","gpus":[{"gpu":"G","wounds":[{"xid":1}]}]}',
        b"{" * 100_000, b'{"version":1,"boot_id":"\xff","gpus":[]}',
    ],
)  # fmt: skip
def test_an_invalid_file_is_ignored(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert StateFile(path, "boot").read(1.0) == {}
    StateFile(path, "boot").write(HEALTHS)
    assert StateFile(path, "boot").read(200.0)


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_content_is_read_without_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "health.json"
    file.write_bytes(content)
    assert StateFile(file, "boot").read(1.0) == {}


def test_an_unreadable_or_read_only_folder_is_not_an_error(tmp_path: Path) -> None:
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
from gpu_core.health.state_file import StateFile
from gpu_core.domain.health import Health, Incident
from gpu_core.domain.xid import XidClass

for at in range(10**9):
    incident = Incident(xid=48, kind=XidClass.RESET, at=at * 10.0)
    StateFile(Path(sys.argv[1]), "boot").write({("GPU-0", None): Health(incidents=(incident,))})
    print(at, flush=True)
"""


def test_a_process_that_is_killed_during_a_write_leaves_a_complete_file(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        writer.kill()
    assert StateFile(path, "boot").read(1e12)


def test_without_a_boot_id_nothing_is_stored(path: Path) -> None:
    StateFile(path, "").write(HEALTHS)
    assert not path.exists()
