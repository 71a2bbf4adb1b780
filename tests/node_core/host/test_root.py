"""The host's files: what is missing, what is unreadable, what must not be waited for."""

import os
from pathlib import Path

import pytest

from node_core.errors import HostReadError
from node_core.host.root import HostRoot, Unfit


@pytest.fixture
def root(tmp_path: Path) -> HostRoot:
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "a").write_bytes(b" text \n")
    (tmp_path / "sys" / "empty").touch()
    (tmp_path / "sys" / "loop").symlink_to("loop")
    (tmp_path / "sys" / "driver").symlink_to("../bus/drivers/vfio-pci")
    return HostRoot(tmp_path)


def test_files_are_bytes_or_text_or_none(root: HostRoot) -> None:
    assert root.read("/sys/a") == b" text \n"
    assert root.read("/sys/a", limit=3) == b" te"
    assert root.text("/sys/a") == "text"
    assert root.text("/sys/empty") == ""
    for missing in ("/sys/b", "/sys/a/b", "/sys/driver"):
        assert root.read(missing) is None
        assert root.text(missing) is None


def test_bytes_that_are_no_text_are_replaced(root: HostRoot) -> None:
    root.path("/sys/a").write_bytes(b"\xff\xfex\n")
    assert root.text("/sys/a") == "\ufffd\ufffdx"


@pytest.mark.parametrize("path", ["/sys", "/sys/loop"], ids=["folder", "loop"])
def test_what_is_there_and_unreadable_is_an_error_with_its_path(root: HostRoot, path: str) -> None:
    with pytest.raises(HostReadError, match=f"cannot read {path}: "):
        root.read(path)


def test_a_long_file_is_read_to_its_end_and_an_endless_one_to_the_limit(root: HostRoot) -> None:
    content = bytes(range(256)) * 1024
    root.path("/sys/a").write_bytes(content)
    assert root.read("/sys/a") == content
    assert root.read("/sys/a", limit=len(content) - 1) == content[:-1]
    assert HostRoot().read("/dev/zero", limit=100_000) == bytes(100_000)


def test_a_fifo_without_a_writer_is_not_waited_for(root: HostRoot) -> None:
    os.mkfifo(root.path("/sys/fifo"))
    assert root.read("/sys/fifo") == b""


def test_entries_are_sorted_names(root: HostRoot) -> None:
    assert root.entries("/sys") == ("a", "driver", "empty", "loop")
    assert root.entries("/nothing") == root.entries("/sys/a") == ()
    with pytest.raises(HostReadError, match="cannot list /sys/loop"):
        root.entries("/sys/loop")


def test_links_are_named_by_their_last_part_and_lead_or_do_not(root: HostRoot) -> None:
    assert root.link_name("/sys/driver") == "vfio-pci"
    assert root.link_name("/sys/a") is None
    assert root.exists("/sys/a")
    assert not root.exists("/sys/driver")
    assert not root.exists("/sys/loop")


def test_a_mark_changes_with_its_file(root: HostRoot) -> None:
    before = root.mark("/sys/a")
    assert before == root.mark("/sys/a")
    root.path("/sys/a").write_bytes(b"longer than it was")
    assert root.mark("/sys/a") != before
    assert root.mark("/sys/b") is None


def test_only_files_of_the_folder_itself_are_its_own(root: HostRoot) -> None:
    root.path("/sys/sub").mkdir()
    root.path("/sys/sub/b").write_text("b")
    root.path("/sys/in").symlink_to("sub/b")
    root.path("/sys/out").symlink_to("../secret")
    root.path("/sysx").write_text("x")
    root.path("/sys/near").symlink_to("../sysx")
    root.path("/secret").write_text("secret")
    assert root.read_own("/sys", "a", limit=100) == b" text \n"
    assert root.read_own("/sys", "in", limit=100) == b"b"
    assert root.read_own("/sys", "gone", limit=100) is None
    for name in ("out", "near", "sub", "loop", "driver"):
        assert isinstance(root.read_own("/sys", name, limit=100), Unfit)


def test_a_folder_that_is_a_link_itself_holds_what_it_leads_to(root: HostRoot) -> None:
    root.path("/link").symlink_to("sys")
    assert root.read_own("/link", "a", limit=100) == b" text \n"
