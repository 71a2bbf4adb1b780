"""Where gfd's labels go, by its own flags and by upstream's."""

from pathlib import Path

import pytest

from gfd.__main__ import command, parse
from gfd.options import gfd_settings
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.nvidia_config import load_nvidia_config


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
def test_flags_choose_the_destination(flags: list[str], destination: str) -> None:
    values = parse_command(command, flags, "gfd")
    assert values is not None
    assert gfd_settings(values).publish == destination


def test_the_config_file_chooses_too_and_brings_premium_rules(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "flags: {useNodeFeatureAPI: true}\n"
        "premium:\n"
        "  - name: big\n"
        "    match: {memoryAtLeast: 80Gi}\n"
        "    taint: {key: nvidia.com/gpu.premium, value: 'true', effect: NoSchedule}\n"
    )
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    settings = gfd_settings(values)
    assert settings.publish == "node-feature"
    assert [rule.name for rule in settings.premium] == ["big"]


def test_premium_taints_without_a_cluster_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, taint: {key: nvidia.com/x, effect: NoSchedule}}]\n")
    with pytest.raises(SettingsError, match="taints need the cluster"):
        parse(["--publish", "stdout", "--config-file", str(path)])


@pytest.mark.parametrize("flags", [["-zo"], ["-vo"], ["-zo", "-o"], ["--bogus", "-ho"]])
def test_bundles_of_short_flags_end_with_an_error_and_not_never(flags: list[str]) -> None:
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
def test_booleans_are_taken_as_go_programs_take_them(flags: list[str], oneshot: bool) -> None:
    values = parse_command(command, [*flags, "--use-node-feature-api", "--fail-on-init-error=false"], "gfd")
    assert values is not None
    assert (values["oneshot"], values["no_timestamp"], values["use_node_feature_api"]) == (oneshot, False, True)


def test_nvidias_own_file_is_taken_and_what_the_plugin_cannot_do_yet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "version: v1\n"
        "flags:\n"
        "  migStrategy: none\n  failOnInitError: true\n  nvidiaDriverRoot: /\n  gdsEnabled: false\n"
        "  plugin: {passDeviceSpecs: false, deviceListStrategy: [envvar], deviceIDStrategy: uuid}\n"
        "  gfd: null\n"
        "sharing:\nresources: {gpus: [], mig: []}\nimex: {channelIDs: []}\n"
    )
    for sections in (("gfd",), ("plugin",)):
        load_nvidia_config(path, sections)
    path.write_text("flags: {gdsEnabled: true, plugin: {passDeviceSpecs: true}}\nimex: {channelIDs: [0]}\n")
    load_nvidia_config(path, ("gfd",))
    with pytest.raises(SettingsError) as caught:
        load_nvidia_config(path, ("plugin",))
    assert [problem.partition(": ")[2].partition(":")[0] for problem in caught.value.problems] == [
        "flags.gdsEnabled",
        "flags.plugin.passDeviceSpecs",
        "imex",
    ]


def test_a_premium_rule_that_claims_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, labels: {node-role.kubernetes.io/control-plane: ''}}]\n")
    with pytest.raises(SettingsError, match="premium"):
        parse_command(command, ["--config-file", str(path)], "gfd")
