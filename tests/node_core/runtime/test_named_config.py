"""Configs by name: the selection of a config, and configs that are missing or invalid."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from node_core.decode import MAX_FILE, Document
from node_core.errors import SettingsError
from node_core.runtime.config_selector import ConfigSelector, NamedConfigs
from node_core.runtime.named_config import (
    LABEL,
    ConfigFolder,
    Fallback,
    NamedConfigOptions,
    select_config,
)
from node_core.runtime.services import Services
from tests.waiting import until

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
def test_one_config_is_selected(
    names: set[str], label: str, default: str, fallbacks: tuple[Fallback, ...], chosen: str | None
) -> None:
    assert select_config(names, label, default, fallbacks) == chosen


@pytest.mark.parametrize(
    ("names", "label", "default", "why"),
    [
        (NAMES, "defalt", "a", r"the Node's label selects the config 'defalt', which does not exist \(did you mean"),
        (NAMES, "", "zzz", "the default selects the config 'zzz', which does not exist"),
        ({"a", "b"}, "", "", "none of the 2 configs can be selected"),
        (set(), "", "", "none of the 0 configs can be selected"),
    ],
)
def test_no_config_is_selected_for_the_fallback_empty(names: set[str], label: str, default: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        select_config(names, label, default, ("named", "single"))


@given(
    st.sets(st.sampled_from(["default", "a", "b", ""])),
    st.sampled_from(["", "a", "x"]),
    st.sampled_from(["", "b", "y"]),
    st.lists(st.sampled_from(get_args(Fallback))),
)
def test_the_selected_config_exists(names: set[str], label: str, default: str, fallbacks: list[Fallback]) -> None:
    try:
        chosen = select_config(names, label, default, fallbacks)
    except ValueError:
        return
    assert chosen in names or (chosen is None and "empty" in fallbacks)


class Reader:
    """Settings are the text itself. The config `bad` cannot be read. read: the names of the requested configs."""

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


def selector(folder: ConfigFolder, options: NamedConfigOptions, reader: Reader) -> ConfigSelector[str]:
    configs = NamedConfigs(source=folder, options=options, read=reader)
    return ConfigSelector("flags", configs, agent="gfd", services=Services())


def select(configs: ConfigSelector[str], label: str | None = None) -> str | None:
    return configs.select(lambda: {} if label is None else {LABEL: label})


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def configs(tmp_path: Path, reader: Reader) -> ConfigSelector[str]:
    (tmp_path / "default").write_text("one")
    (tmp_path / "two").write_text("two")
    options = NamedConfigOptions(place=tmp_path, fallbacks=("named",))
    return selector(ConfigFolder(tmp_path, lambda: None), options, reader)


def test_settings_follow_the_label_and_the_content(configs: ConfigSelector[str], tmp_path: Path) -> None:
    assert select(configs) == "one"
    assert select(configs, "two") == "two"
    (tmp_path / "two").write_text("three")
    assert select(configs, "two") == "three"
    assert configs.problem is None


def test_an_unchanged_config_is_not_read_again(configs: ConfigSelector[str], reader: Reader, tmp_path: Path) -> None:
    assert [select(configs) for _ in range(3)] == ["one"] * 3
    (tmp_path / "two").write_text("one")
    with capture_logs() as logs:
        assert select(configs, "two") == "one"
    assert [(line["event"], line["changes"]) for line in logs] == [("config_applied", False)]
    assert reader.read == ["default", "two"]


def test_a_missing_or_invalid_config_changes_nothing_until_it_is_valid(
    configs: ConfigSelector[str], reader: Reader, tmp_path: Path
) -> None:
    select(configs)
    assert select(configs, "three") == "one"
    assert "'three', which does not exist" in str(configs.problem)
    (tmp_path / "three").write_text("bad")
    assert [select(configs, "three") for _ in range(2)] == ["one"] * 2
    assert str(configs.problem) == "three: bad; and worse; the previous config remains in use"
    assert reader.read == ["default", "three"]
    (tmp_path / "three").write_text("good")
    assert select(configs, "three") == "good"
    assert configs.problem is None


def test_the_previous_label_after_an_invalid_label_is_not_a_change(configs: ConfigSelector[str]) -> None:
    select(configs)
    select(configs, "nowhere")
    assert (select(configs), configs.problem) == ("one", None)


def test_the_empty_config_has_no_file(tmp_path: Path, reader: Reader) -> None:
    options = NamedConfigOptions(place=tmp_path, fallbacks=("empty",))
    configs = selector(ConfigFolder(tmp_path, lambda: None), options, reader)
    assert select(configs) == "nothing"
    assert reader.read == [None]


def test_only_the_keys_of_a_mounted_configmap_are_configs(tmp_path: Path) -> None:
    version = tmp_path / "..2026_01_01"
    version.mkdir()
    (version / "a").write_text("A")
    (version / "huge").write_bytes(b"x" * (MAX_FILE + 100))
    (tmp_path / "..data").symlink_to(version.name)
    for name in ("a", "huge"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "gone").symlink_to("..data/gone")
    (tmp_path / "..note").write_text("not a config")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found = ConfigFolder(tmp_path, lambda: None).read_configs()
    assert {name: len(config.content) for name, config in found.items()} == {"a": 1, "huge": MAX_FILE + 1}


def test_a_missing_folder_is_an_error_with_its_path(tmp_path: Path, reader: Reader) -> None:
    options = NamedConfigOptions(place=tmp_path / "none")
    configs = selector(ConfigFolder(tmp_path / "none", lambda: None), options, reader)
    assert select(configs, "a") is None
    assert f"the folder of configs {tmp_path}/none does not exist" in (configs.problem or "")


@pytest.fixture
def changes(tmp_path: Path) -> Iterator[Callable[[], int]]:
    changes = threading.Semaphore(0)
    folder = ConfigFolder(tmp_path, changes.release)
    folder.start()
    yield lambda: changes._value
    folder.stop()


def test_a_swapped_configmap_in_the_folder_is_reported(tmp_path: Path, changes: Callable[[], int]) -> None:
    until(lambda: changes() > 0)
    before = changes()
    (tmp_path / "..new").mkdir()
    (tmp_path / "..tmp").symlink_to("..new")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    until(lambda: changes() > before)
