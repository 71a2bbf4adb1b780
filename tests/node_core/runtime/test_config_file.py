"""Config files and inline configs as defaults of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from node_core.decode import Document, read_document
from node_core.errors import SettingsError
from node_core.runtime import config_file
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.config_file import config_option, inline_config_option
from node_core.runtime.config_watch import fingerprint
from node_core.runtime.settings import CommonSettings


def load(content: Any, source: str) -> tuple[Any, Mapping[str, Any], Sequence[str]]:
    """Accepts a mapping of setting names to values. The key `old` has no effect."""
    if not isinstance(content, dict):
        raise SettingsError([f"{source}: is not a mapping", f"{source}: a second problem"])
    notes = ["old: has no effect"] if "old" in content else []
    return {"decoded": content}, {name: value for name, value in content.items() if name != "old"}, notes


def make_command(default: Path | None = None) -> click.Command:
    return agent_command(
        "agent",
        CommonSettings,
        config_option("--config", name="config", env=["AGENT_CONFIG"], load=load, default=default),
        inline_config_option("--options", name="inline", load=load),
        agent="AGENT",
        help="An agent.",
    )


def parse(
    *arguments: str, default: Path | None = None, configs: Mapping[str, Document] | None = None
) -> dict[str, Any]:
    values = parse_command(make_command(default), arguments, "agent", configs=configs)
    assert values is not None
    return values


def problems(*arguments: str, default: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(*arguments, default=default)
    return caught.value.problems


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("{log_level: debug, node_name: file}")
    return path


def test_a_config_file_sets_the_defaults_of_settings(config: Path) -> None:
    values = parse("--config", str(config), "--node-name", "flag")
    assert (values["log_level"], values["node_name"]) == ("debug", "flag")
    assert values["config"] == {"decoded": {"log_level": "debug", "node_name": "file"}}
    assert values["config_files"] == {config: fingerprint(config)}


def test_the_environment_can_name_the_config_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    assert parse()["log_level"] == "debug"


@pytest.mark.parametrize("is_inline_first", [False, True], ids=["file first", "inline first"])
def test_an_inline_config_takes_precedence_over_the_file(config: Path, is_inline_first: bool) -> None:
    file, inline = ("--config", str(config)), ("--options", "node_name: inline")
    values = parse(*inline, *file) if is_inline_first else parse(*file, *inline)
    assert (values["node_name"], values["log_level"]) == ("inline", "debug")
    assert values["inline"] == {"decoded": {"node_name": "inline"}}


def test_without_configs_the_settings_have_their_own_defaults() -> None:
    values = parse("--options", "")
    assert (values["config"], values["inline"], values["config_files"]) == (None, None, {})
    assert values["log_level"] == "info"


def test_a_default_file_is_read_if_the_file_exists(config: Path, tmp_path: Path) -> None:
    assert parse(default=config)["log_level"] == "debug"
    missing = tmp_path / "missing.yaml"
    values = parse(default=missing)
    assert (values["config"], values["config_files"]) == (None, {missing: ""})


def test_a_missing_file_that_the_user_names_is_a_problem(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert problems("--config", str(missing), default=missing) == (f"{missing}: does not exist",)


def test_all_problems_of_file_and_inline_config_are_reported_at_once(config: Path) -> None:
    config.write_text("[1]")
    assert problems("--config", str(config), "--options", "2") == (
        f"{config}: is not a mapping",
        f"{config}: a second problem",
        "--options: is not a mapping",
        "--options: a second problem",
    )


@pytest.mark.parametrize("content", ["{", "a: 1\n---\nb: 2\n", "\udcff"], ids=["syntax", "two documents", "no text"])
def test_an_inline_config_that_is_not_one_document_is_a_problem(content: str) -> None:
    assert [problem.partition(":")[0] for problem in problems("--options", content)] == ["--options"]


def test_keys_without_effect_on_the_program_are_notes(config: Path) -> None:
    config.write_text("{log_level: debug, mig_strategy: mixed, no_timestamp: true, old: 1}")
    assert parse("--config", str(config))["notes"] == (
        f"{config}: old: has no effect",
        f"{config}: mig-strategy has no effect on agent",
        f"{config}: no-timestamp has no effect on agent",
    )


def test_a_document_replaces_the_file(config: Path) -> None:
    document = Document(source="ConfigMap", content=b"node_name: document")
    values = parse("--config", str(config), configs={"config": document})
    assert (values["node_name"], values["log_level"], values["config_files"]) == ("document", "info", {})


def test_the_fingerprint_is_that_of_the_values_if_the_file_changes_during_the_start(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, reads = fingerprint(config), []

    def read_and_change(path: Path) -> Document:
        reads.append(path)
        document = read_document(path)
        path.write_text("{log_level: warn")  # another process has written a part of the file
        return document

    monkeypatch.setattr(config_file, "read_document", read_and_change)
    values = parse("--config", str(config))
    assert (values["log_level"], values["config_files"], reads) == ("debug", {config: before}, [config])
