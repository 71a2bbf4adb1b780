"""The flags of configs by name, and settings that are read again with one of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from structlog.testing import capture_logs

from node_core.decode import MAX_FILE, Document
from node_core.errors import SettingsError
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.config_map import ConfigMapName
from node_core.runtime.named_config import NamedConfigOptions
from node_core.runtime.named_options import named_options, named_problems, named_settings, reread_with
from node_core.runtime.nvidia_config import nvidia_options


@click.command(cls=AgentCommand)
@named_options
@nvidia_options("gfd")
def command(**_: Any) -> None:
    """An agent with these flags alone."""


def values(*arguments: str) -> dict[str, Any]:
    return parse_command(command, arguments, "agent") or {}


def test_without_a_folder_nothing_is_followed() -> None:
    assert named_settings(values()) is None
    assert named_settings(values("--config-dir", "")) is None
    assert list(named_problems(values())) == []


def test_a_folder_is_followed_as_flags_and_environment_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named_settings(values("--config-dir", "/c")) == NamedConfigOptions(place=Path("/c"))
    environment = {
        "CONFIG_FILE_SRCDIR": "/c", "NODE_LABEL": "x/y", "DEFAULT_CONFIG": "a", "FALLBACK_STRATEGIES": "single,empty",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert named_settings(values()) == NamedConfigOptions(
        place=Path("/c"), label="x/y", default="a", fallbacks=("single", "empty")
    )


def test_a_folder_and_a_file_are_one_too_many(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{}")
    both = values("--config-dir", "/c", "--config-file", str(file))
    assert list(named_problems(both)) == ["--config-dir: stands beside --config-file: take one of them"]
    three = {**both, "config_map": ConfigMapName("a", "b")}
    (problem,) = named_problems(three)
    assert problem == "--config-dir: stands beside --config-map and --config-file: take one of them"


def test_a_configmap_is_followed_as_flags_and_environment_say(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = NamedConfigOptions(place=ConfigMapName("a", "b"), default="x")
    assert named_settings(values("--config-map", "a/b", "--default-config", "x")) == wanted
    monkeypatch.setenv("CONFIG_MAP", "a/b")
    assert named_settings(values("--default-config", "x")) == wanted
    assert named_settings(values("--config-map", "")) is None
    with pytest.raises(SettingsError, match=r"--config-map: 'b' is not of the form NAMESPACE/NAME"):
        values("--config-map", "b")


def test_a_config_of_a_configmap_is_read_although_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_MAP", "a/b")
    reread = reread_with(command, [], "agent", named_settings)
    assert reread(named("flags: {migStrategy: mixed}\n")) is None


def named(text: str) -> Document:
    return Document(source="/c/four", content=text.encode())


def test_settings_are_read_again_by_the_same_flags_with_the_named_config() -> None:
    mixed = named("flags: {migStrategy: mixed}\n")
    reread = reread_with(command, ["--config-dir", "/c"], "agent", lambda found: found["mig_strategy"])
    assert (reread(mixed), reread(None)) == ("mixed", "none")
    flag = reread_with(command, ["--mig-strategy", "single"], "agent", lambda found: found["mig_strategy"])
    assert flag(mixed) == "single"
    with pytest.raises(SettingsError, match=r"/c/four: flags\.migStrategie: unknown key"):
        reread(named("flags: {migStrategie: mixed}\n"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00", "is not a YAML text file"),
        (b"x" * (MAX_FILE + 1), "is larger than"),
        (b"[" * 100_000, "is not a YAML text file"),
        (b"- a", "the file: expected a mapping"),
    ],
    ids=["bytes", "too much", "too deep", "a list"],
)
def test_garbage_instead_of_a_config_is_refused_by_its_name(content: bytes, why: str) -> None:
    reread = reread_with(command, [], "agent", lambda found: found["mig_strategy"])
    with pytest.raises(SettingsError, match=f"/c/four: {why}"):
        reread(Document(source="/c/four", content=content))


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("flags: {plugin: {containerDriverRoot: /elsewhere}}\n", ["driver-root-ctr-path"]),
        ("flags: {plugin: {containerDriverRoot: /driver-root}}\n", []),
        ("flags: {migStrategy: mixed, deviceDiscoveryStrategy: tegra}\n", []),
    ],
    ids=["another value", "the same", "not fixed"],
)
def test_what_a_named_config_cannot_change_is_said(text: str, ignored: Sequence[str]) -> None:
    reread = reread_with(command, [], "agent", lambda found: found["mig_strategy"], fixed=("driver_root", "oneshot"))
    with capture_logs() as said:
        reread(named(text))
    assert [line["setting"] for line in said if line["event"] == "setting_ignored"] == ignored
