"""Config files, folders and the configs that are derived from the GPUs."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from mig_manager.configs import ConfigFile, ConfigReader, decode_configs
from node_core.decode import Document
from node_core.errors import NotReadError, SettingsError
from tests.mig_manager.places import Place
from tests.waiting import until

FILE = """
version: v1
mig-configs:
  {name}:
  - devices: all
    mig-enabled: true
    mig-devices: {{"3g.40gb": 1}}
"""


def document(name: str) -> Document:
    return Document(source=f"{name}.yaml", content=FILE.format(name=name).encode())


class Source:
    def __init__(self, documents: Mapping[str, Document] | None) -> None:
        self.documents = documents

    def read_configs(self) -> Mapping[str, Document] | None:
        return self.documents


def test_a_derived_config_needs_no_file(tmp_path: Path) -> None:
    gpus = Place(tmp_path / "mig.json").read()
    layouts = ConfigReader(None).select("all-3g.40gb", gpus)
    assert [each.devices for each in layouts.values()] == [{"3g.40gb": 2}] * 2


def test_a_config_of_a_file_replaces_a_derived_one(tmp_path: Path) -> None:
    gpus = Place(tmp_path / "mig.json").read()
    layouts = ConfigReader(Source({"a": document("all-3g.40gb")})).select("all-3g.40gb", gpus)
    assert [each.devices for each in layouts.values()] == [{"3g.40gb": 1}] * 2


def test_files_are_combined_and_a_name_in_two_files_is_a_problem() -> None:
    assert list(decode_configs({"a": document("a"), "b": document("b")})) == ["a", "b"]
    with pytest.raises(SettingsError, match="the MIG config a is in several files"):
        decode_configs({"a": document("a"), "b": document("a")})


def test_the_problems_of_all_files_are_reported_at_once() -> None:
    broken = {name: Document(source=name, content=b"version: v2\nmig-configs: {}") for name in ("a", "b")}
    with pytest.raises(SettingsError) as raised:
        decode_configs(broken)
    assert {problem.partition(":")[0] for problem in raised.value.problems} == {"a", "b"}


def test_a_config_map_that_is_not_read_yet_changes_nothing() -> None:
    with pytest.raises(NotReadError, match="not read yet"):
        ConfigReader(Source(None)).select("a", ())


def test_a_new_content_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mig.yaml"
    changed = threading.Event()
    watch = ConfigFile(path, changed.set)
    watch.start()
    try:
        until(changed.is_set)
        changed.clear()
        path.write_text(FILE.format(name="a"))
        until(changed.is_set)
        assert list(decode_configs(watch.read_configs())) == ["a"]
    finally:
        watch.stop()


def test_a_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"mig\.yaml"):
        ConfigReader(ConfigFile(tmp_path / "mig.yaml", lambda: None)).select("a", ())
