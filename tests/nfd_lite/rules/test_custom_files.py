"""The folder of drop-ins: which files count, and that an error takes nothing away."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_lite.rules.custom_files import CUSTOM_DIR, CustomFiles, read_custom_dir
from nfd_lite.rules.documents import MAX_TEXT
from node_core.host.root import HostRoot


def rule(name: str) -> str:
    return f"- name: {name}\n  labels: {{x: '1'}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / CUSTOM_DIR.lstrip("/")
    path.mkdir(parents=True)
    return path


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., CustomFiles]:
    return lambda before=None: read_custom_dir(HostRoot(tmp_path), before)


Read = Callable[..., CustomFiles]


def names(files: CustomFiles) -> list[str]:
    return [rule.name for each in files.sets for rule in each.rules]


def test_no_folder_is_no_problem(read: Read) -> None:
    files = read()
    assert (files.sets, files.problems, files.unknown) == ((), (), False)


def test_files_and_those_of_folders_count_in_the_order_of_their_names(folder: Path, read: Read) -> None:
    (folder / "b.yaml").write_text(rule("b"))
    (folder / "a").mkdir()
    (folder / "a" / "2").write_text(rule("a2"))
    (folder / "a" / "1").write_text(rule("a1"))
    (folder / "a" / "deep").mkdir()
    (folder / "a" / "deep" / "x").write_text(rule("too deep"))
    (folder / "c").write_text("")
    files = read()
    assert names(files) == ["a1", "a2", "b"]
    assert list(files.files) == [f"{CUSTOM_DIR}/{name}" for name in ("a/1", "a/2", "b.yaml", "c")]
    assert not files.problems


def test_a_config_map_on_the_folder_is_read_once(folder: Path, read: Read) -> None:
    (folder / "..2026").mkdir()
    (folder / "..2026" / "x.yaml").write_text(rule("x"))
    (folder / "..data").symlink_to("..2026")
    (folder / "x.yaml").symlink_to("..data/x.yaml")
    (folder / ".hidden").write_text(rule("hidden"))
    assert names(read()) == ["x"]
    (folder / "..2027").mkdir()
    (folder / "..2027" / "x.yaml").write_text(rule("new"))
    (folder / "..new").symlink_to("..2027")
    (folder / "..new").rename(folder / "..data")
    assert names(read(read())) == ["new"]


def test_a_file_that_did_not_change_is_not_parsed_again(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    (folder / "y").write_text("- [")
    before = read()
    (folder / "z").write_text(rule("z"))
    after = read(before)
    assert all(after.files[path] is file for path, file in before.files.items())
    assert names(after) == ["x", "z"]


def test_a_file_that_is_gone_takes_its_rules_with_it(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    before = read()
    (folder / "x").unlink()
    assert read(before) == CustomFiles()


def test_a_file_that_breaks_keeps_what_it_said_and_recovers(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    good = read()
    (folder / "x").write_text("- name: [broken")
    broken = read(good)
    assert names(broken) == ["x"]
    assert len(broken.problems) == 1
    assert broken.problems[0].startswith(f"{CUSTOM_DIR}/x: ")
    assert not broken.unknown
    assert read(broken).problems == broken.problems
    (folder / "x").write_text(rule("repaired"))
    repaired = read(broken)
    assert (names(repaired), repaired.problems) == (["repaired"], ())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"- name: [", "x: "),
        (b"\xff\xfe", "is not a UTF-8 text file"),
        (b"#" * (MAX_TEXT + 1), f"is larger than {MAX_TEXT} bytes"),
        (b"kind: Pod", "kind: expected NodeFeatureRule, got Pod"),
        (b"\x00" * 100, "x: "),
    ],
    ids=["yaml", "binary", "large", "kind", "zeros"],
)
def test_a_file_that_was_never_good_is_told_and_unknown_beside_the_others(
    folder: Path, read: Read, content: bytes, why: str
) -> None:
    (folder / "x").write_bytes(content)
    (folder / "y").write_text(rule("y"))
    files = read()
    assert names(files) == ["y"]
    assert len(files.problems) == 1
    assert why in files.problems[0]
    assert files.unknown


def test_a_pipe_or_device_never_blocks(folder: Path, read: Read) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    pipe, zero = read().problems
    assert pipe == f"{CUSTOM_DIR}/pipe: is not a regular file"
    assert zero == f"{CUSTOM_DIR}/zero: is a symbolic link that leads out of its folder"


def test_a_link_to_nothing_is_told(folder: Path, read: Read) -> None:
    (folder / "x").symlink_to("nowhere")
    assert read().problems == (f"{CUSTOM_DIR}/x: is a symbolic link that leads nowhere",)


def test_a_link_to_itself_is_told(folder: Path, read: Read) -> None:
    (folder / "x").symlink_to("x")
    assert read().problems == (f"{CUSTOM_DIR}/x: is a symbolic link that leads nowhere",)


def test_a_folder_that_cannot_be_read_keeps_what_is_known(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    good = read()
    (folder / "x").unlink()
    folder.rmdir()
    folder.symlink_to("custom.d")
    lost, never = read(good), read()
    assert (names(lost), lost.unknown, never.unknown) == (["x"], False, True)
    assert lost.problems == never.problems == (f"cannot list {CUSTOM_DIR}: Too many levels of symbolic links",)
    assert read(never).unknown
    folder.unlink()
    assert read(lost) == CustomFiles()
