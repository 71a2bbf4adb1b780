"""Files of the host: missing files, unreadable files, and files whose reads would block."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from node_core.errors import HostReadError
from node_core.host.root import HostRoot, NotReadable
from tests.descriptors import open_files
from tests.unprivileged import unprivileged


@pytest.fixture
def root(tmp_path: Path) -> HostRoot:
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "a").write_bytes(b" text \n")
    (tmp_path / "sys" / "empty").touch()
    (tmp_path / "sys" / "loop").symlink_to("loop")
    (tmp_path / "sys" / "driver").symlink_to("../bus/drivers/vfio-pci")
    return HostRoot(tmp_path)


def test_a_file_is_read_as_bytes_or_text_and_a_missing_file_is_none(root: HostRoot) -> None:
    assert root.read("/sys/a") == b" text \n"
    assert root.read("/sys/a", limit=3) == b" te"
    assert root.text("/sys/a") == "text"
    assert root.text("/sys/empty") == ""
    for missing in ("/sys/b", "/sys/a/b", "/sys/driver"):
        assert root.read(missing) is None
        assert root.text(missing) is None


def test_invalid_utf8_is_replaced(root: HostRoot) -> None:
    root.path("/sys/a").write_bytes(b"\xff\xfex\n")
    assert root.text("/sys/a") == "\ufffd\ufffdx"


@pytest.mark.parametrize("path", ["/sys", "/sys/loop"], ids=["folder", "loop"])
def test_an_unreadable_file_is_an_error_with_its_path(root: HostRoot, path: str) -> None:
    with pytest.raises(HostReadError, match=f"cannot read {path}: "):
        root.read(path)


def test_at_most_a_mebibyte_of_a_file_is_read_by_default(root: HostRoot) -> None:
    (root.base / "sys" / "large").write_bytes(bytes(2 << 20))
    assert len(root.read("/sys/large") or b"") == 1024 * 1024


def test_a_long_file_is_read_completely_and_an_endless_file_up_to_the_limit(root: HostRoot) -> None:
    content = bytes(range(256)) * 1024
    root.path("/sys/a").write_bytes(content)
    assert root.read("/sys/a") == content
    assert root.read("/sys/a", limit=len(content) - 1) == content[:-1]
    assert HostRoot().read("/dev/zero", limit=100_000) == bytes(100_000)


def test_a_fifo_without_a_writer_does_not_block(root: HostRoot) -> None:
    os.mkfifo(root.path("/sys/fifo"))
    assert root.read("/sys/fifo") == b""


def test_reads_leave_no_descriptors(root: HostRoot) -> None:
    before = open_files()
    for path in ("/sys/a", "/sys/empty", "/sys/b", "/sys/driver"):
        root.read(path)
    with pytest.raises(HostReadError):
        root.read("/sys")
    assert open_files() <= before


def test_entries_are_sorted(root: HostRoot) -> None:
    assert root.entries("/sys") == ("a", "driver", "empty", "loop")
    assert root.entries("/nothing") == root.entries("/sys/a") == ()
    with pytest.raises(HostReadError, match="cannot list /sys/loop"):
        root.entries("/sys/loop")


def test_a_path_exists_or_is_missing_or_cannot_be_examined(root: HostRoot) -> None:
    assert root.check_exists("/sys/a")
    for missing in ("/sys/b", "/sys/a/b", "/sys/driver", "/sys/loop"):
        assert not root.check_exists(missing)
    with pytest.raises(HostReadError, match=r"cannot examine /sys/xxx.*: File name too long"):
        root.check_exists(f"/sys/{'x' * 300}")


def test_link_name_is_the_last_part_of_the_target(root: HostRoot) -> None:
    assert root.link_name("/sys/driver") == "vfio-pci"
    assert root.link_name("/sys/a") is None
    assert root.exists("/sys/a")
    assert not root.exists("/sys/driver")
    assert not root.exists("/sys/loop")


def test_the_stamp_changes_with_the_file(root: HostRoot) -> None:
    before = root.stamp("/sys/a")
    assert before == root.stamp("/sys/a")
    root.path("/sys/a").write_bytes(b"longer than it was")
    assert root.stamp("/sys/a") != before
    assert root.stamp("/sys/b") is None


def test_only_regular_files_inside_the_folder_are_read(root: HostRoot) -> None:
    root.path("/sys/sub").mkdir()
    root.path("/sys/sub/b").write_text("b")
    root.path("/sys/in").symlink_to("sub/b")
    root.path("/sys/out").symlink_to("../secret")
    root.path("/sysx").write_text("x")
    root.path("/sys/near").symlink_to("../sysx")
    root.path("/secret").write_text("secret")
    assert root.read_regular("/sys", "a", limit=100) == b" text \n"
    assert root.read_regular("/sys", "in", limit=100) == b"b"
    assert root.read_regular("/sys", "gone", limit=100) is None
    for name in ("out", "near", "sub", "loop", "driver"):
        assert isinstance(root.read_regular("/sys", name, limit=100), NotReadable)


def test_a_file_without_the_right_to_read_it_is_an_error_with_its_path() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "closed").mkdir()
        (folder / "closed" / "a").write_text("a")
        (folder / "link").symlink_to("closed/a")
        (folder / "secret").write_text("a")
        for path in (folder / "closed", folder / "secret"):
            path.chmod(0)
        with unprivileged():
            for entry in ("link", "secret"):
                with pytest.raises(HostReadError, match=f"cannot read /{folder.name}/{entry}: Permission denied"):
                    HostRoot(folder.parent).read_regular(f"/{folder.name}", entry, limit=100)
        (folder / "closed").chmod(0o700)


def test_a_folder_may_be_a_link(root: HostRoot) -> None:
    root.path("/link").symlink_to("sys")
    assert root.read_regular("/link", "a", limit=100) == b" text \n"
