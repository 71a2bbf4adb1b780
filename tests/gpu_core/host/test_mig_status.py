"""What mig-manager publishes for gpu-device-plugin."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpu_core.host.mig_status import MigStatus, MigStatusFile, mig_status_path, read_mig_status

STATUS = MigStatus(is_settled=True, leaving=frozenset({"MIG-1", "GPU-0"}))


def test_a_status_is_read_again(tmp_path: Path) -> None:
    path = mig_status_path(tmp_path, "n1")
    MigStatusFile(path, "boot").write(STATUS)
    assert read_mig_status(path, "boot") == STATUS


def test_a_status_of_another_boot_contains_nothing(tmp_path: Path) -> None:
    path = mig_status_path(tmp_path, "n1")
    MigStatusFile(path, "boot").write(STATUS)
    assert read_mig_status(path, "next") == MigStatus()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"boot_id": "boot", "version": 2}'])
def test_a_damaged_file_contains_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "status"
    path.write_bytes(content)
    assert read_mig_status(path, "boot") == MigStatus()
    assert read_mig_status(tmp_path / "missing", "boot") == MigStatus()


def test_an_unchanged_status_is_written_once(tmp_path: Path) -> None:
    path = mig_status_path(tmp_path, "n1")
    file = MigStatusFile(path, "boot")
    file.write(STATUS)
    path.unlink()
    file.write(STATUS)
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_logged_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = MigStatusFile(tmp_path / "file" / "status", "boot")
    with capture_logs() as logs:
        file.write(STATUS)
        file.write(MigStatus())
    assert [each["event"] for each in logs] == ["mig_status_not_written"]


def test_without_a_path_nothing_is_written() -> None:
    MigStatusFile(None, "boot").write(STATUS)
