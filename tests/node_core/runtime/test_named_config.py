"""Configs by name: which one counts, and what happens when it cannot."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from node_core.decode import MAX_FILE, Document
from node_core.errors import SettingsError
from node_core.runtime.named_config import (
    FALLBACKS,
    LABEL,
    ConfigFolder,
    Fallback,
    NamedConfigOptions,
    NamedConfigs,
    choose_config,
)

NAMES = {"default", "a", "b"}


@pytest.mark.parametrize(
    ("names", "label", "default", "fallbacks", "chosen"),
    [
        (NAMES, "a", "b", (), "a"),
        (NAMES, "", "b", ("named",), "b"),
        (NAMES, "", "", ("named", "single"), "default"),
        ({"x"}, "", "", ("named", "single"), "x"),
        ({"a", "b"}, "", "", ("named", "single", "empty"), None),
        (NAMES, "", "", ("empty", "named"), None),
        (set(), "", "", ("single", "empty"), None),
    ],
    ids=["label", "default", "named", "single", "empty", "in their order", "empty without any"],
)
def test_one_config_counts(
    names: set[str], label: str, default: str, fallbacks: tuple[Fallback, ...], chosen: str | None
) -> None:
    assert choose_config(names, label, default, fallbacks) == chosen


@pytest.mark.parametrize(
    ("names", "label", "default", "why"),
    [
        (NAMES, "defalt", "a", r"the Node's label asks for the config 'defalt', which is not there \(did you mean"),
        (NAMES, "", "zzz", "the default asks for the config 'zzz', which is not there"),
        ({"a", "b"}, "", "", "of 2 configs none can be taken"),
        (set(), "", "", "of 0 configs none can be taken"),
    ],
)
def test_none_counts_where_none_is_meant(names: set[str], label: str, default: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        choose_config(names, label, default, ("named", "single"))


@given(
    st.sets(st.sampled_from(["default", "a", "b", ""])),
    st.sampled_from(["", "a", "x"]),
    st.sampled_from(["", "b", "y"]),
    st.lists(st.sampled_from(FALLBACKS)),
)
def test_what_counts_is_there(names: set[str], label: str, default: str, fallbacks: list[Fallback]) -> None:
    try:
        chosen = choose_config(names, label, default, fallbacks)
    except ValueError:
        return
    assert chosen in names or (chosen is None and "empty" in fallbacks)


class Reader:
    """Settings are the text itself; `bad` cannot be read. read: the names of what it was asked for."""

    def __init__(self) -> None:
        self.read: list[str | None] = []

    def __call__(self, config: Document | None) -> str:
        name = None if config is None else Path(config.source).name
        self.read.append(name)
        if config is None:
            return "nothing"
        if config.content == b"bad":
            raise SettingsError([f"{name}: bad", "and worse"])
        return config.content.decode()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def configs(tmp_path: Path, reader: Reader) -> NamedConfigs[str]:
    (tmp_path / "default").write_text("one")
    (tmp_path / "two").write_text("two")
    options = NamedConfigOptions(place=tmp_path, fallbacks=("named",))
    return NamedConfigs(ConfigFolder(tmp_path, lambda: None), options, reader)


def test_settings_follow_the_label_and_the_content(configs: NamedConfigs[str], tmp_path: Path) -> None:
    assert configs.follow({})
    assert configs.settings == "one"
    assert configs.follow({LABEL: "two"})
    (tmp_path / "two").write_text("three")
    assert configs.follow({LABEL: "two"})
    assert (configs.settings, configs.problem) == ("three", None)


def test_what_stays_is_not_read_again(configs: NamedConfigs[str], reader: Reader, tmp_path: Path) -> None:
    assert [configs.follow({}) for _ in range(3)] == [True, False, False]
    (tmp_path / "two").write_text("one")
    assert not configs.follow({LABEL: "two"})
    assert reader.read == ["default", "two"]


def test_what_cannot_be_applied_changes_nothing_and_heals_by_itself(
    configs: NamedConfigs[str], reader: Reader, tmp_path: Path
) -> None:
    configs.follow({})
    assert not configs.follow({LABEL: "three"})
    assert "'three', which is not there" in str(configs.problem)
    (tmp_path / "three").write_text("bad")
    with capture_logs() as logs:
        assert not configs.follow({LABEL: "three"})
        assert not configs.follow({LABEL: "three"})
    assert str(configs.problem) == "three: bad; and worse; what was applied before stays"
    assert (str(configs.settings), reader.read, logs) == ("one", ["default", "three"], [])
    (tmp_path / "three").write_text("good")
    assert configs.follow({LABEL: "three"})
    assert (configs.settings, configs.problem) == ("good", None)


def test_going_back_from_a_mistake_is_no_change(configs: NamedConfigs[str]) -> None:
    configs.follow({})
    configs.follow({LABEL: "nowhere"})
    assert not configs.follow({})
    assert (configs.settings, configs.problem) == ("one", None)


def test_the_empty_config_has_no_file(tmp_path: Path, reader: Reader) -> None:
    options = NamedConfigOptions(place=tmp_path, fallbacks=("empty",))
    configs = NamedConfigs(ConfigFolder(tmp_path, lambda: None), options, reader)
    assert configs.follow({})
    assert (configs.settings, reader.read) == ("nothing", [None])


def test_the_folder_of_a_configmap_has_its_keys_alone(tmp_path: Path) -> None:
    version = tmp_path / "..2026_01_01"
    version.mkdir()
    (version / "a").write_text("A")
    (version / "huge").write_bytes(b"x" * (MAX_FILE + 100))
    (tmp_path / "..data").symlink_to(version.name)
    for name in ("a", "huge"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "gone").symlink_to("..data/gone")
    (tmp_path / "..note").write_text("none of ours")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found = ConfigFolder(tmp_path, lambda: None).read_configs()
    assert {name: len(config.content) for name, config in found.items()} == {"a": 1, "huge": MAX_FILE + 1}


def test_no_folder_is_an_error_that_names_it(tmp_path: Path, reader: Reader) -> None:
    options = NamedConfigOptions(place=tmp_path / "none")
    configs = NamedConfigs(ConfigFolder(tmp_path / "none", lambda: None), options, reader)
    assert not configs.follow({LABEL: "a"})
    assert f"cannot read the configs in {tmp_path}/none: No such file" in (configs.problem or "")


@pytest.fixture
def changes(tmp_path: Path) -> Iterator[Callable[[], int]]:
    told = threading.Semaphore(0)
    folder = ConfigFolder(tmp_path, told.release)
    folder.start()
    yield lambda: told._value
    folder.stop()


def test_the_folder_tells_when_a_configmap_is_swapped(tmp_path: Path, changes: Callable[[], int]) -> None:
    until(lambda: changes() > 0)
    before = changes()
    (tmp_path / "..new").mkdir()
    (tmp_path / "..tmp").symlink_to("..new")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    until(lambda: changes() > before)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)
