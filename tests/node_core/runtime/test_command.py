"""Flags, environment and files: precedence, and every problem at once."""

from copy import copy
from pathlib import Path
from typing import Any

import click
import pytest

from device_plugin.__main__ import command as plugin_command
from gfd.__main__ import command
from gpu_exporter.__main__ import command as exporter_command
from gpunode.cleanup.command import command as cleanup_command
from gpunode.doctor.command import command as doctor_command
from gpunode.run import command as run_command
from nfd_lite.__main__ import command as nfd_command
from nfd_lite.topology.__main__ import command as topology_command
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, find_misspelt, ignored_option, parse_command, report_usage
from node_core.runtime.examples import ExamplesCommand
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.version import VERSION


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


def test_the_precedence_is_flag_then_environment_then_file_then_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse()["mig_strategy"] == "none"
    assert parse("--config-file", str(config))["mig_strategy"] == "mixed"
    monkeypatch.setenv("MIG_STRATEGY", "single")
    assert parse("--config-file", str(config))["mig_strategy"] == "single"
    monkeypatch.setenv("GFD_MIG_STRATEGY", "mixed")
    assert parse()["mig_strategy"] == "mixed"
    assert parse("--mig-strategy", "none")["mig_strategy"] == "none"


def test_given_names_only_the_values_of_flags(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIG_STRATEGY", "single")
    given = parse("--config-file", str(config), "--log-level=debug")["given"]
    assert given == {"nvidia_config", "log_level"}


def test_the_file_sets_common_options_too(config: Path) -> None:
    settings = common_settings(parse("--config-file", str(config)), CommonSettings)
    assert (settings.interval, settings.oneshot) == (30, True)


def test_an_unset_option_is_none() -> None:
    settings = common_settings(parse(), CommonSettings)
    assert settings.kubeconfig is None
    assert settings.simulate is None


def test_infinite_disables_the_interval() -> None:
    assert common_settings(parse("--sleep-interval", "infinite"), CommonSettings).interval is None


def test_go_style_flags_with_one_dash_are_accepted() -> None:
    assert parse("-oneshot", "-node-name=n1")["node_name"] == "n1"


def test_a_value_that_is_the_letter_of_a_short_flag_is_no_flag() -> None:
    values = parse("--node-name", "o", "-o", "o")
    assert (values["node_name"], values["output_file"]) == ("o", Path("o"))


def test_every_problem_of_flags_environment_and_file_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("version: v2\nflags: {migStrategie: mixed, gfd: {sleepInterval: 5, noTimestamp: perhaps}}\n")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    found = problems("--config-file", str(path), "--sleep-interval", "soon", "--node-nam", "x", "--mig-strategy=half")
    text = "\n".join(found)
    assert f"{path}: flags.migStrategie: unknown key (did you mean migStrategy?)" in text
    assert f"{path}: version: must be v1, found the text 'v2'" in text
    assert f"{path}: flags.gfd.noTimestamp: must be true or false, found the text 'perhaps'" in text
    assert "--sleep-interval: 'soon' is not a duration" in text
    assert "--node-nam: unknown flag (did you mean --node-name?)" in text
    assert "--mig-strategy: 'half' is not one of 'none', 'single', 'mixed'." in text
    assert "LOG_LEVEL (--log-level): 'loud' is not one of" in text
    assert len(found) == 7


def test_the_error_for_a_value_in_the_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {migStrategy: half, gfd: {sleepInterval: 60 s}}\n")
    text = "\n".join(problems("--config-file", str(path)))
    assert f"{path}: flags.migStrategy: 'half' is not one of" in text
    assert f"{path}: flags.gfd.sleepInterval: '60 s' is not a duration" in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["serve"], "'serve': unexpected argument"),
        (["--node-name"], "requires an argument"),
        (["--config-file", "/nonexistent/c.yaml"], "does not exist"),
        (["--oneshot=perhaps"], "'perhaps' is not true or false"),
        (
            ["--mig-strategy=mixd"],
            "--mig-strategy: 'mixd' is not one of 'none', 'single', 'mixed' (did you mean mixed?).",
        ),
    ],
)
def test_each_other_mistake_has_its_own_error(arguments: list[str], part: str) -> None:
    assert part in "\n".join(problems(*arguments))


def test_help_exits_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_command(command, ["--help"], "gfd") is None
    assert "--node-name" in capsys.readouterr().out


def test_each_problem_is_one_line_and_the_exit_status_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_usage(SettingsError(["one", "two"]), "gfd") == 2
    assert capsys.readouterr().err == "gfd: one\ngfd: two\n"


def test_a_config_file_that_is_damaged_is_refused_and_not_replaced_by_defaults(config: Path) -> None:
    config.write_text(
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - name: nvidia.com/gpu\n      replicas: fo"
    )
    assert problems("--config-file", str(config)) == (
        f"{config}: sharing.timeSlicing.resources[0].replicas: must be a whole number from 1 up, found the text 'fo'",
    )


def test_keys_without_effect_on_the_program_are_accepted_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {useNodeFeatureAPI: true, gfd: {oneshot: true, noTimestamp: true}}\n")
    assert parse("--config-file", str(path))["oneshot"] is True
    values = parse_command(run_command, ["--config-file", str(path)], "gpunode run")
    assert values is not None
    assert sorted(values["notes"]) == [
        f"{path}: oneshot has no effect on gpunode run",
        f"{path}: use-node-feature-api has no effect on gpunode run",
    ]
    values = parse_command(plugin_command, ["--config-file", str(path)], "gpu-device-plugin")
    assert values is not None
    assert "oneshot" not in values


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GPUNODE_SIMUATE", "GPUNODE_SIMULATE"),
        ("GFD_PUBLISHE", "GFD_PUBLISH"),
        ("GFD_SLEEPINTERVAL", "GFD_SLEEP_INTERVAL"),
        ("GPUNODE_SERVICE_HOST", None),
        ("GPUNODE_SERVICE_PORT", None),
        ("GPUNODE_SERVICE_PORT_METRICS", None),
        ("GPUNODE_PORT", None),
        ("GPUNODE_PORT_8080_TCP", None),
        ("GPUNODE_PORT_8080_TCP_ADDR", None),
        ("GPUNODE_LOCK_DIR", None),
        ("GPUNODE_TEAM", None),
        ("NFD_PUBLISH", None),
        ("MIG_STRATEGIE", None),
    ],
)
def test_an_unknown_environment_variable_of_the_program_is_reported_and_those_of_services_are_not(
    name: str, near: str | None
) -> None:
    found = tuple(find_misspelt(command, {name: "x"}))
    assert found == (
        () if near is None else (f"{name} is not an environment variable of this program. Did you mean {near}?",)
    )


IGNORED = ("--old", "OLD", "it is automatic")


def test_a_flag_of_another_program_is_accepted_without_an_effect(capsys: pytest.CaptureFixture[str]) -> None:
    option = ignored_option(*IGNORED)
    of_test = agent_command("c", CommonSettings, option, agent="TEST", help="h")
    values = parse_command(of_test, ["--old", "x", "--log-level=debug"], "c")
    assert values is not None
    assert ("old" in values, values["log_level"]) == (False, "debug")
    assert values["changed"] == {"old": "x", "log-level": "debug"}
    assert parse_command(of_test, ["--help"], "c") is None
    help_text = " ".join(capsys.readouterr().out.split())
    assert "Accepted for compatibility, but has no effect: it is automatic. [env var: OLD]" in help_text


def test_a_flag_without_an_effect_may_have_no_value_and_be_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    alone = ignored_option(*IGNORED, may_stand_alone=True, hidden=True)
    of_test = agent_command("c", alone, agent="T", help="h")
    for arguments in (["--old"], ["--old=false"]):
        assert parse_command(of_test, arguments, "c") is not None
    assert parse_command(of_test, ["--help"], "c") is None
    assert "--old" not in capsys.readouterr().out


def test_changed_settings_are_those_that_differ_from_their_defaults_in_short() -> None:
    long = "x" * 1000
    changed = parse("--sleep-interval=60s", "--log-format=json", f"--kubeconfig={long}")["changed"]
    assert changed.keys() == {"log-format", "kubeconfig"}
    assert changed["log-format"] == "json"
    assert long.startswith(changed["kubeconfig"])
    assert 10 < len(changed["kubeconfig"]) < 1000


def test_the_version_is_shown_with_the_name_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_command(command, ["--version"], "gfd") is None
    assert capsys.readouterr().out == f"gfd, version {VERSION}\n"


AGENTS = (command, plugin_command, exporter_command, run_command, nfd_command, topology_command)


@pytest.mark.parametrize("each", [*AGENTS, doctor_command, cleanup_command], ids=lambda each: str(each.name))
def test_help_has_a_short_flag_and_groups(each: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = copy(each)
    fresh._help_option = None  # click caches the option, and another test may use other names for it
    texts = []
    for flag in ("-h", "--help"):
        assert parse_command(fresh, [flag], "program") is None
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert {"Node and cluster:", "Other options:"} <= set(texts[0].splitlines())


@pytest.mark.parametrize("each", AGENTS, ids=lambda each: str(each.name))
def test_every_flag_has_a_text_and_a_heading(each: click.Command) -> None:
    options = [option for option in each.params if isinstance(option, click.Option) and not option.hidden]
    assert [option.opts[0] for option in options if not option.help] == []
    assert [option.opts[0] for option in options if not getattr(option, "heading", "")] == ["--version"]
    assert isinstance(each, ExamplesCommand)
    assert each.examples
