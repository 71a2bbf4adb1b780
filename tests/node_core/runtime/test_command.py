"""Flags, environment and files: precedence, and every problem at once."""

from pathlib import Path
from typing import Any

import click
import pytest

from node_core.errors import SettingsError
from node_core.runtime.command import AgentCommand, parse_command, report_usage
from node_core.runtime.flags import common_options, publish_options
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.settings import common_settings


@click.command(cls=AgentCommand)
@nvidia_options("gfd")
@publish_options(agent="GFD", output_file="/f")
@common_options(agent="GFD", address=":8080")
def command(**_: Any) -> None: ...


def parse(*arguments: str) -> dict[str, Any]:
    values = parse_command(command, arguments, "gfd")
    assert values is not None
    return values


def problems(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(*arguments)
    return caught.value.problems


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("version: v1\nflags: {migStrategy: mixed, gfd: {sleepInterval: 30, oneshot: true}}\n")
    return path


def test_the_flag_wins_over_the_environment_over_the_file_over_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse()["mig_strategy"] == "none"
    assert parse("--config-file", str(config))["mig_strategy"] == "mixed"
    monkeypatch.setenv("MIG_STRATEGY", "single")
    assert parse("--config-file", str(config))["mig_strategy"] == "single"
    monkeypatch.setenv("GFD_MIG_STRATEGY", "mixed")
    assert parse()["mig_strategy"] == "mixed"
    assert parse("--mig-strategy", "none")["mig_strategy"] == "none"


def test_the_file_sets_common_options_too(config: Path) -> None:
    settings = common_settings(parse("--config-file", str(config)))
    assert (settings.interval, settings.oneshot) == (30, True)


def test_what_nobody_said_is_none() -> None:
    settings = common_settings(parse())
    assert settings.kubeconfig is None
    assert settings.simulate is None


def test_infinite_is_no_interval() -> None:
    assert common_settings(parse("--sleep-interval", "infinite")).interval is None


def test_go_style_flags_with_one_dash_are_taken() -> None:
    assert parse("-oneshot", "-node-name=n1")["node_name"] == "n1"


def test_every_problem_of_flags_environment_and_file_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("version: v2\nflags: {migStrategie: mixed, gfd: {sleepInterval: 5, noTimestamp: perhaps}}\n")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    found = problems("--config-file", str(path), "--sleep-interval", "5ms", "--node-nam", "x", "--mig-strategy=half")
    text = "\n".join(found)
    assert f"{path}: flags.migStrategie: unknown key (did you mean migStrategy?)" in text
    assert f"{path}: version: Invalid enum value 'v2'" in text
    assert f"{path}: flags.gfd.noTimestamp: Expected `bool | null`, got `str`" in text
    assert "--sleep-interval: 5ms is below one second" in text
    assert "--node-nam: unknown flag (did you mean --node-name?)" in text
    assert "--mig-strategy: 'half' is not one of 'none', 'single', 'mixed'." in text
    assert "LOG_LEVEL (--log-level): 'loud' is not one of" in text
    assert len(found) == 7


def test_a_wrong_value_in_the_file_is_not_blamed_on_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {migStrategy: half, gfd: {sleepInterval: 60000000000}}\n")
    text = "\n".join(problems("--config-file", str(path)))
    assert "config file (--mig-strategy): 'half'" in text
    assert "config file (--sleep-interval)" in text
    assert "not nanoseconds" in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["serve"], "'serve': unexpected argument"),
        (["--node-name"], "requires an argument"),
        (["--config-file", "/nonexistent/c.yaml"], "No such file"),
        (["--oneshot=perhaps"], "is not a valid boolean"),
    ],
)
def test_other_mistakes_say_what_they_are(arguments: list[str], part: str) -> None:
    assert part in "\n".join(problems(*arguments))


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_command(command, ["--help"], "gfd") is None
    assert "--node-name" in capsys.readouterr().out


def test_problems_are_printed_one_a_line_with_exit_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_usage(SettingsError(["one", "two"]), "gfd") == 2
    assert capsys.readouterr().err == "gfd: one\ngfd: two\n"
