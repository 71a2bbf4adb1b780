"""The folder of drop-in files. An error does not remove rules."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_lite.rules.custom_files import CUSTOM_DIR, CustomFiles, read_custom_dir
from node_core.decode import MAX_FILE
from node_core.errors import HostReadError
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
    return lambda previous=None: read_custom_dir(HostRoot(tmp_path), previous)


Read = Callable[..., CustomFiles]


def whys(files: CustomFiles) -> list[str]:
    return [each.why for each in files.problems]


def names(files: CustomFiles) -> list[str]:
    return [rule.name for each in files.sets for rule in each.rules]


def test_a_missing_folder_is_not_a_problem(read: Read) -> None:
    files = read()
    assert (files.sets, files.problems, files.has_unknown_rules) == ((), (), False)


def test_files_and_subfolders_are_read_in_order_of_their_names(folder: Path, read: Read) -> None:
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


def test_a_mounted_config_map_is_read_once(folder: Path, read: Read) -> None:
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
    previous = read()
    (folder / "z").write_text(rule("z"))
    after = read(previous)
    assert all(after.files[path] is file for path, file in previous.files.items())
    assert names(after) == ["x", "z"]


def test_the_rules_of_a_removed_file_are_removed(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    previous = read()
    (folder / "x").unlink()
    assert read(previous) == CustomFiles()


def test_an_invalid_file_keeps_its_last_rules_until_it_is_corrected(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    valid = read()
    (folder / "x").write_text("- name: [broken")
    broken = read(valid)
    assert names(broken) == ["x"]
    assert len(broken.problems) == 1
    assert whys(broken)[0].startswith(f"{CUSTOM_DIR}/x: ")
    assert broken.problems[0].set_name == f"{CUSTOM_DIR}/x"
    assert not broken.has_unknown_rules
    assert read(broken).problems == broken.problems
    (folder / "x").write_text(rule("repaired"))
    repaired = read(broken)
    assert (names(repaired), repaired.problems) == (["repaired"], ())


@pytest.mark.parametrize(
    ("content", "why", "is_text"),
    [
        (b"- name: [ax", "x: ", True),
        (b"\xff\xfe", "is not a UTF-8 text file", False),
        (b"#" * (MAX_FILE + 1), f"is larger than {MAX_FILE} bytes", False),
        (b"kind: Pod\nax: 1", "kind: expected NodeFeatureRule, got Pod", True),
        (b"\x00" * 100, "x: ", False),
    ],
    ids=["yaml", "binary", "large", "kind", "zeros"],
)
def test_a_file_that_was_never_valid_is_reported_and_its_words_or_any_name_may_be_its_outputs(
    folder: Path, read: Read, content: bytes, why: str, is_text: bool
) -> None:
    (folder / "x").write_bytes(content)
    (folder / "z").write_text(rule("z"))
    files = read()
    assert names(files) == ["z"]
    assert len(files.problems) == 1
    assert why in whys(files)[0]
    assert files.has_unknown_rules is not is_text
    assert ["ax" in each.labels for each in files.salvaged] == [True] * is_text


def test_a_pipe_or_device_never_blocks(folder: Path, read: Read) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    pipe, zero = whys(read())
    assert pipe == f"{CUSTOM_DIR}/pipe: is not a regular file"
    assert zero == f"{CUSTOM_DIR}/zero: is a symbolic link that leads out of its folder"


def test_a_dangling_link_is_reported(folder: Path, read: Read) -> None:
    (folder / "x").symlink_to("nowhere")
    assert whys(read()) == [f"{CUSTOM_DIR}/x: is a broken symbolic link"]


def test_a_link_to_itself_is_reported(folder: Path, read: Read) -> None:
    (folder / "x").symlink_to("x")
    assert whys(read()) == [f"{CUSTOM_DIR}/x: is a broken symbolic link"]


def test_the_last_rules_of_a_file_that_cannot_be_read_are_kept(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "x").write_text(rule("x"))
    valid = read()

    def fail(*_: object, **__: object) -> bytes:
        raise HostReadError("Input/output error")

    monkeypatch.setattr(HostRoot, "read_regular", fail)
    assert names(read(valid)) == ["x"]
    assert whys(read(valid)) == whys(read()) == [f"{CUSTOM_DIR}/x: Input/output error"]
    assert read().has_unknown_rules


def test_the_last_rules_are_kept_while_the_folder_cannot_be_read(folder: Path, read: Read) -> None:
    (folder / "x").write_text(rule("x"))
    valid = read()
    (folder / "x").unlink()
    folder.rmdir()
    folder.symlink_to("custom.d")
    lost, never = read(valid), read()
    assert (names(lost), lost.has_unknown_rules, never.has_unknown_rules) == (["x"], False, True)
    assert whys(lost) == whys(never) == [f"cannot list {CUSTOM_DIR}: Too many levels of symbolic links"]
    assert read(never).has_unknown_rules
    folder.unlink()
    assert read(lost) == CustomFiles()
