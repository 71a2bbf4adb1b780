"""The settings of gfd: destination of labels, config files, flags of upstream."""

from pathlib import Path

import click
import pytest

from device_plugin.__main__ import command as plugin_command
from gfd.__main__ import command, parse
from gfd.settings import gfd_settings
from gpu_core.settings.nvidia_config import Section, decode_nvidia_config
from gpunode.run import command as run_command
from node_core.decode import read_yaml
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command


@pytest.mark.parametrize(
    ("flags", "destination"),
    [
        ([], "node"),
        (["--publish", "stdout"], "stdout"),
        (["--use-node-feature-api=true"], "node-feature"),
        (["--use-node-feature-api", "false"], "file"),
        (["--use-node-feature-api", "false", "--output-file", ""], "stdout"),
        (["--use-node-feature-api", "true", "--publish", "node"], "node"),
        (["-use-node-feature-api=false", "-o", "/tmp/x"], "file"),
        (
            ["--pod-name", "p", "--kube-api-qps", "5", "--kube-api-burst=10", "--device-discovery-strategy", "nvml"],
            "node",
        ),
    ],
)
def test_flags_select_the_destination(flags: list[str], destination: str) -> None:
    values = parse_command(command, flags, "gfd")
    assert values is not None
    assert gfd_settings(values).publish == destination


def test_the_config_file_selects_the_destination(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {useNodeFeatureAPI: true}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert gfd_settings(values).publish == "node-feature"


def test_premium_rules_of_an_earlier_version_are_refused_with_the_rule_that_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, taint: {key: nvidia.com/x, effect: NoSchedule}}]\n")
    with pytest.raises(
        SettingsError,
        match=r"premium: .*NodeFeatureRules now, see docs/how-to/taint-premium-gpus.md.*feature: node.label",
    ):
        parse_command(command, ["--config-file", str(path)], "gfd")


@pytest.mark.parametrize(
    ("program", "strategies"),
    [
        (command, ["auto", "nvml", "tegra", "vfio"]),
        (plugin_command, ["auto", "nvml", "tegra"]),
        (run_command, ["auto", "nvml", "tegra"]),
    ],
    ids=["gfd", "gpu-device-plugin", "gpunode run"],
)
def test_each_program_has_its_discovery_strategies(program: click.Command, strategies: list[str]) -> None:
    (option,) = (each for each in program.params if each.name == "device_discovery_strategy")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == strategies


@pytest.mark.parametrize("strategy", ["tegra", "vfio"])
def test_simulated_gpus_are_discovered_with_nvml_only(strategy: str, tmp_path: Path) -> None:
    flags = ["--publish", "stdout", "--simulate", "h100x8", "--host-root", str(tmp_path)]
    assert parse([*flags, "--device-discovery-strategy", "nvml"]) is not None
    with pytest.raises(SettingsError, match=f"{strategy} does not support simulated GPUs"):
        parse([*flags, "--device-discovery-strategy", strategy])


def test_the_config_file_sets_the_discovery_strategy(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {deviceDiscoveryStrategy: vfio}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert values["device_discovery_strategy"] == "vfio"
    path.write_text("flags: {deviceDiscoveryStrategy: guess}\n")
    with pytest.raises(SettingsError, match="guess"):
        parse_command(command, ["--config-file", str(path)], "gfd")


def test_the_config_file_names_and_shares_resources(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("resources: {gpus: [{pattern: '*A40*', name: a40}]}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert gfd_settings(values).rules.names.name_for_gpu("NVIDIA A40") == "nvidia.com/a40"


@pytest.mark.parametrize("destination", ["file", "stdout"])
def test_selecting_a_config_needs_a_destination_that_watches_the_node(destination: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    with pytest.raises(SettingsError) as caught:
        parse(["--config-dir", "/c", "--config-file", str(path), "--publish", destination])
    beside, follows = caught.value.problems
    assert beside == "--config-dir: is used together with --config-file: use only one of them"
    assert follows.startswith(
        f"--config-dir selects a config by a label of the Node, which --publish {destination} does not watch"
    )
    with pytest.raises(SettingsError) as refused:
        parse(["--config-map", "a/b", "--publish", destination])
    (follows,) = refused.value.problems
    assert follows.startswith(
        f"--config-map selects a config by a label of the Node, which --publish {destination} does not watch"
    )


@pytest.mark.parametrize("flags", [["-zo"], ["-vo"], ["-zo", "-o"], ["--bogus", "-ho"]])
def test_bundled_short_flags_are_an_error(flags: list[str]) -> None:
    with pytest.raises(SettingsError):
        parse(flags)


@pytest.mark.parametrize(
    ("flags", "oneshot"),
    [
        (["--oneshot"], True),
        (["--oneshot=true"], True),
        (["-oneshot=false"], False),
        (["--oneshot", "--no-timestamp=false"], True),
    ],
)
def test_booleans_have_the_syntax_of_go_programs(flags: list[str], oneshot: bool) -> None:
    values = parse_command(command, [*flags, "--use-node-feature-api", "--fail-on-init-error=false"], "gfd")
    assert values is not None
    assert (values["oneshot"], values["no_timestamp"], values["use_node_feature_api"]) == (oneshot, False, True)


@pytest.mark.parametrize("section", ["gfd", "plugin"])
def test_both_agents_accept_nvidias_config_file(section: Section, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "version: v1\n"
        "flags:\n"
        "  migStrategy: none\n  failOnInitError: true\n  nvidiaDriverRoot: /\n  gdsEnabled: false\n"
        "  plugin: {passDeviceSpecs: false, deviceListStrategy: [envvar], deviceIDStrategy: uuid}\n"
        "  gfd: null\n"
        "sharing:\nresources: {gpus: [], mig: []}\nimex: {channelIDs: []}\n"
    )
    decode_nvidia_config(read_yaml(path), (section,), source=str(path))
