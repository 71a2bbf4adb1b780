"""Where gfd's labels go, by its own flags and by upstream's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfd.__main__ import command, parse
from gfd.options import gfd_settings
from node_core.decode import read_yaml
from node_core.domain.family import FAMILIES, family
from node_core.domain.inventory import ComputeCapability
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.nvidia_config import Section, decode_nvidia_config, discovery_strategies


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


@pytest.mark.parametrize(
    ("sections", "strategies"),
    [
        (("gfd",), ["auto", "nvml", "tegra", "vfio"]),
        (("plugin",), ["auto", "nvml", "tegra"]),
        (("gfd", "plugin"), ["auto", "nvml", "tegra"]),
    ],
)
def test_each_agent_offers_the_ways_to_find_gpus_that_it_knows(
    sections: tuple[Section, ...], strategies: list[str]
) -> None:
    assert discovery_strategies(sections) == strategies


@pytest.mark.parametrize("strategy", ["tegra", "vfio"])
def test_simulated_gpus_are_found_as_nvml_finds_them_or_not_at_all(strategy: str, tmp_path: Path) -> None:
    flags = ["--publish", "stdout", "--simulate", "h100x8", "--host-root", str(tmp_path)]
    assert parse([*flags, "--device-discovery-strategy", "nvml"]) is not None
    with pytest.raises(SettingsError, match=f"{strategy} finds no simulated GPUs"):
        parse([*flags, "--device-discovery-strategy", strategy])


def test_the_config_file_names_the_way_to_find_gpus_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("flags: {deviceDiscoveryStrategy: vfio}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert values["device_discovery_strategy"] == "vfio"
    path.write_text("flags: {deviceDiscoveryStrategy: guess}\n")
    with pytest.raises(SettingsError, match="guess"):
        parse_command(command, ["--config-file", str(path)], "gfd")


def test_premium_taints_without_a_cluster_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, taint: {key: nvidia.com/x, effect: NoSchedule}}]\n")
    with pytest.raises(SettingsError, match="taints need the cluster"):
        parse(["--publish", "stdout", "--config-file", str(path)])


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            "match: {family: hoper}, labels: {nvidia.com/tier: a}",
            f"match.family: no GPU is of the family 'hoper' (did you mean hopper?); there are {', '.join(FAMILIES)}",
        ),
        (
            "match: {}, labels: {nvidia.com/gpu.count: '9'}",
            "labels: nvidia.com/gpu.count is what gfd itself says of the node (did you mean nvidia.com/premium.gpu.count?)",
        ),
        (
            "match: {}, labels: {nvidia.com/mig-1g.5gb.count: '9'}",
            "labels: nvidia.com/mig-1g.5gb.count is what gfd itself says of the node (did you mean nvidia.com/premium.mig-1g.5gb.count?)",
        ),
    ],
    ids=["family", "label", "label of a profile"],
)
@pytest.mark.parametrize("more", [[], ["--publish", "stdout"]], ids=["node", "stdout"])
def test_a_premium_rule_that_could_never_do_what_it_says_is_refused(
    rule: str, problem: str, more: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"premium: [{{name: x, {rule}}}]\n")
    with pytest.raises(SettingsError) as caught:
        parse(["--node-name", "n", "--config-file", str(path), *more])
    assert caught.value.problems == (f"premium rule 'x': {problem}",)


def test_every_problem_of_the_premium_rules_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    taint = "taint: {key: nvidia.com/x, effect: NoSchedule}"
    path.write_text(f"premium: [{{name: x, match: {{family: x}}, {taint}, labels: {{nvidia.com/gpu.mode: a}}}}]\n")
    with pytest.raises(SettingsError) as caught:
        parse(["--publish", "stdout", "--config-file", str(path)])
    assert [problem.split(": ")[1] for problem in caught.value.problems[:2]] == ["match.family", "labels"]
    assert "taints need the cluster" in caught.value.problems[2]


def test_a_premium_rule_may_name_a_family_in_any_case_and_labels_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {family: Ada-Lovelace}, labels: {nvidia.com/gpu.premium: 'true'}}]\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert len(gfd_settings(values).premium) == 1


def test_the_config_file_names_resources_and_shares_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("resources: {gpus: [{pattern: '*A40*', name: a40}]}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert gfd_settings(values).names.of_gpu("NVIDIA A40") == "nvidia.com/a40"


@pytest.mark.parametrize("destination", ["file", "stdout"])
def test_a_folder_of_configs_needs_a_destination_that_follows_the_node(destination: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    with pytest.raises(SettingsError) as caught:
        parse(["--config-dir", "/c", "--config-file", str(path), "--publish", destination])
    beside, follows = caught.value.problems
    assert beside == "--config-dir: stands beside --config-file: take one of them"
    assert follows.startswith(f"--config-dir: a label of the Node chooses, and --publish {destination} does not follow")
    with pytest.raises(SettingsError) as refused:
        parse(["--config-map", "a/b", "--publish", destination])
    (follows,) = refused.value.problems
    assert follows.startswith(f"--config-map: a label of the Node chooses, and --publish {destination} does not follow")


@given(st.integers(0, 20), st.integers(0, 20))
def test_every_family_that_a_gpu_can_have_may_be_named(major: int, minor: int) -> None:
    assert family(ComputeCapability(major=major, minor=minor)) in FAMILIES


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


@pytest.mark.parametrize("section", ["gfd", "plugin"])
def test_nvidias_own_file_is_taken_by_both_agents(section: Section, tmp_path: Path) -> None:
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


def test_a_premium_rule_that_claims_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, labels: {node-role.kubernetes.io/control-plane: ''}}]\n")
    with pytest.raises(SettingsError, match="premium"):
        parse_command(command, ["--config-file", str(path)], "gfd")
