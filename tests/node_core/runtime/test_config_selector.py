"""The config that a label selects: its flags, the current config, its conditions, and settings that are read again with a config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GfdFlags, GpuSettings
from node_core.decode import MAX_FILE, Document
from node_core.domain.labels import Labels
from node_core.errors import KubeError, SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.config_map import ConfigMapName
from node_core.runtime.config_selector import ConfigSelector, NamedConfigs, settings_reader
from node_core.runtime.named_config import (
    LABEL,
    NAMED_CONFIG,
    ConfigFolder,
    NamedConfigOptions,
    parse_named_config,
)
from node_core.runtime.services import Services

command = agent_command(
    "agent", *NAMED_CONFIG, GfdFlags, nvidia_config_option("gfd"), GpuSettings, agent="AGENT", help="An agent."
)


def named_settings(found: Mapping[str, Any]) -> NamedConfigOptions | None:
    return parse_named_config(found, [])


def named_problems(found: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    parse_named_config(found, problems)
    return problems


def values(*arguments: str) -> dict[str, Any]:
    return parse_command(command, arguments, "agent") or {}


def test_without_a_folder_no_config_is_watched() -> None:
    assert named_settings(values()) is None
    assert named_settings(values("--config-dir", "")) is None
    assert named_problems(values()) == []


def test_flags_and_environment_set_the_watched_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named_settings(values("--config-dir", "/c")) == NamedConfigOptions(place=Path("/c"))
    environment = {
        "CONFIG_FILE_SRCDIR": "/c", "NODE_LABEL": "x/y", "DEFAULT_CONFIG": "a", "FALLBACK_STRATEGIES": "single,empty",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert named_settings(values()) == NamedConfigOptions(
        place=Path("/c"), label="x/y", default="a", fallbacks=("single", "empty")
    )


def test_a_folder_together_with_a_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{}")
    both = values("--config-dir", "/c", "--config-file", str(file))
    assert named_problems(both) == ["--config-dir: is used together with --config-file: use only one of them"]
    three = {**both, "config_map": ConfigMapName("a", "b")}
    (problem,) = named_problems(three)
    assert problem == "--config-dir: is used together with --config-map and --config-file: use only one of them"


def test_flags_and_environment_set_the_watched_configmap(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = NamedConfigOptions(place=ConfigMapName("a", "b"), default="x")
    assert named_settings(values("--config-map", "a/b", "--default-config", "x")) == wanted
    monkeypatch.setenv("CONFIG_MAP", "a/b")
    assert named_settings(values("--default-config", "x")) == wanted
    assert named_settings(values("--config-map", "")) is None
    with pytest.raises(SettingsError, match=r"--config-map: 'b' is not of the form NAMESPACE/NAME"):
        values("--config-map", "b")


def test_a_config_of_a_configmap_is_read_although_the_environment_sets_the_configmap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONFIG_MAP", "a/b")
    reread = settings_reader(command, [], "agent", named_settings)
    assert reread(named("flags: {migStrategy: mixed}\n")) is None


def named(text: str) -> Document:
    return Document(source="/c/four", content=text.encode())


def test_settings_are_read_again_with_the_same_flags_and_the_named_config() -> None:
    mixed = named("flags: {migStrategy: mixed}\n")
    reread = settings_reader(command, ["--config-dir", "/c"], "agent", lambda found: found["mig_strategy"])
    assert (reread(mixed), reread(None)) == ("mixed", "none")
    flag = settings_reader(command, ["--mig-strategy", "single"], "agent", lambda found: found["mig_strategy"])
    assert flag(mixed) == "single"
    with pytest.raises(SettingsError, match=r"/c/four: flags\.migStrategie: unknown key"):
        reread(named("flags: {migStrategie: mixed}\n"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00", "is not a UTF-8 text file"),
        (b"x" * (MAX_FILE + 1), "is larger than"),
        (b"[" * 100_000, "line 1: nested deeper than 100 levels"),
        (b"- a", "the document: expected a mapping"),
    ],
    ids=["bytes", "too much", "too deep", "a list"],
)
def test_the_error_for_a_malformed_config_contains_its_name(content: bytes, why: str) -> None:
    reread = settings_reader(command, [], "agent", lambda found: found["mig_strategy"])
    with pytest.raises(SettingsError, match=f"/c/four: {why}"):
        reread(Document(source="/c/four", content=content))


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("flags: {plugin: {containerDriverRoot: /elsewhere}}\n", ["driver-root-ctr-path"]),
        ("flags: {plugin: {containerDriverRoot: /driver-root}}\n", []),
        ("flags: {migStrategy: mixed}\n", []),
        ("flags: {gfd: {sleepInterval: 5s}}\n", ["sleep-interval"]),
    ],
    ids=["another value", "the same", "not fixed", "interval"],
)
def test_a_fixed_setting_in_a_named_config_is_ignored_and_logged(text: str, ignored: Sequence[str]) -> None:
    reread = settings_reader(command, [], "agent", lambda found: found["mig_strategy"])
    with capture_logs() as logs:
        reread(named(text))
    assert [line["setting"] for line in logs if line["event"] == "setting_ignored"] == ignored


UNSEEN = "not completed yet"


class Bench:
    """Settings are the text of the file. labels: of the Node, or the error that reading the Node raises."""

    def __init__(self, directory: Path) -> None:
        self.labels: Labels | KubeError | None = None
        self.services = Services()
        configs = NamedConfigs(
            source=ConfigFolder(directory, lambda: None),
            options=NamedConfigOptions(place=directory),
            read=lambda config: config.content.decode() if config else "",
        )
        self._selector = ConfigSelector("flags", configs, agent="gfd", services=self.services)

    def current(self) -> str | None:
        return self._selector.select(self._labels)

    def _labels(self) -> Labels | None:
        if isinstance(self.labels, KubeError):
            raise self.labels
        return self.labels

    @property
    def problem(self) -> str | None:
        return self.services.readiness.problems()["gfd/config"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "default").write_text("one")
    (tmp_path / "two").write_text("two")
    return Bench(tmp_path)


def by(bench: Bench, label: str) -> str | None:
    bench.labels = {LABEL: label}
    return bench.current()


def test_no_config_is_selected_before_the_node_is_observed(bench: Bench) -> None:
    assert (bench.current(), bench.problem) == (None, UNSEEN)
    bench.labels = {}
    assert (bench.current(), bench.problem) == ("one", None)


def test_each_selection_uses_the_label_and_an_invalid_label_is_logged_and_counted_once(bench: Bench) -> None:
    found = [by(bench, "two")]
    with capture_logs() as logs:
        found += [by(bench, "three"), by(bench, "three"), by(bench, "two")]
    assert found == ["two"] * 4
    assert [line["event"] for line in logs] == ["not_ready", "config_applied", "ready"]
    assert b'gpunode_errors_total{agent="gfd",check="config"} 1.0' in bench.services.metrics.render()


def test_an_invalid_label_at_the_start_selects_no_config(bench: Bench) -> None:
    assert by(bench, "three") is None
    assert "'three', which does not exist" in str(bench.problem)


def test_the_config_remains_while_the_node_cannot_be_read(bench: Bench) -> None:
    by(bench, "two")
    bench.labels = KubeError("the API server does not respond")
    assert bench.current() == "two"
    assert "does not respond" in str(bench.problem)


def test_the_problem_ends_when_the_node_is_read_again_even_if_the_config_is_the_same(bench: Bench) -> None:
    by(bench, "two")
    bench.labels = KubeError("the API server does not respond")
    bench.current()
    assert (by(bench, "two"), bench.problem) == ("two", None)
