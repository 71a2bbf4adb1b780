"""Where gfd's labels go, by its own flags and by upstream's."""

from pathlib import Path

import pytest

from gfd.__main__ import command
from gfd.options import gfd_settings
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


def test_a_premium_rule_that_claims_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("premium: [{name: x, match: {}, labels: {node-role.kubernetes.io/control-plane: ''}}]\n")
    with pytest.raises(SettingsError, match="premium"):
        parse_command(command, ["--config-file", str(path)], "gfd")
