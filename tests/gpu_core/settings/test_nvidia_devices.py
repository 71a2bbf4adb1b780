"""The sections resources, devices, reserved and pools of NVIDIA's config file."""

from pathlib import Path

import pytest

from gpu_core.domain.device_rules import DeviceRules
from gpu_core.settings.nvidia_config import decode_nvidia_config
from node_core.decode import read_yaml
from tests.gpu_core.settings.config_text import MINIMAL, problems

RULES = """
resources:
  gpus: [{pattern: "*A40*", name: a40}]
  mig: [{pattern: 1g.10gb, name: nvidia.com/small}]
devices: {include: [0, 1, "2:0"], exclude: [product=*T4]}
reserved: [{devices: ["17:00.0"], why: broken fan}]
pools: [{name: team-a, devices: [profile=1g*, 1]}]
"""


def rules(tmp_path: Path, text: str) -> DeviceRules:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return decode_nvidia_config(read_yaml(path), ("plugin",), source=str(path))[0].rules


def test_the_sections_are_parsed(tmp_path: Path) -> None:
    found = rules(tmp_path, RULES)
    assert (found.names.name_for_gpu("NVIDIA A40"), found.names.name_for_gpu("Tesla T4")) == (
        "nvidia.com/a40",
        "nvidia.com/gpu",
    )
    assert (found.names.name_for_mig("1g.10gb"), found.names.name_for_mig("3g.40gb")) == ("nvidia.com/small", None)
    assert [str(ref) for ref in found.include or ()] == ["0", "1", "2:0"]
    assert [str(ref) for ref in found.exclude] == ["product=*T4"]
    ((reserved,), (pool,)) = found.reserved, found.pools
    assert ([str(ref) for ref in reserved.devices], reserved.why) == (["0000:17:00.0"], "broken fan")
    assert (pool.resource, [str(ref) for ref in pool.devices]) == ("nvidia.com/team-a", ["profile=1g*", "1"])
    assert rules(tmp_path, "version: v1") == DeviceRules()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("devices: {include: []}", "devices.include: the list is empty"),
        ("devices: {exclude: [GPU-1]}", "devices.exclude: 'GPU-1' does not name a device"),
        ("devices: {includes: [0]}", "devices.includes: unknown key (did you mean include?)"),
        ("devices: [0]", "devices: expected a mapping, got a list"),
        ("reserved: [{devices: [0]}]", "reserved[0].why: is missing"),
        ("reserved: [{devices: [0], why: ' '}]", "reserved[0].why: is empty"),
        ("reserved: [{devices: [], why: x}]", "reserved[0].devices: the list is empty"),
        ("reserved: [{devices: [0, '0'], why: x}]", "reserved[0].devices: the list contains '0' twice"),
        ("pools: [{devices: [0]}]", "pools[0].name: is missing"),
        ("pools: [{name: A, devices: [0]}]", "pools[0].name: the resource name"),
        ("pools: [{name: gpu, devices: [0]}]", "pools[0].name: nvidia.com/gpu is the name of devices outside pools"),
        (
            "pools: [{name: mig-x, devices: [0]}]",
            "pools[0].name: nvidia.com/mig-x is the name of devices outside pools",
        ),
        (
            "{resources: {gpus: [{pattern: '*', name: a}]}, pools: [{name: a, devices: [0]}]}",
            "pools[0].name: nvidia.com/a is the name of devices outside pools",
        ),
        (
            "pools: [{name: a, devices: [0]}, {name: nvidia.com/a, devices: [1]}]",
            "pools[1].name: another pool has the name nvidia.com/a",
        ),
        ("pools: [{name: a, devices: [0]}, {name: b, devices: ['0:1']}]", "pools[1].devices: 0:1 is already in pool a"),
        ("resources: {gpus: [{pattern: '*', name: 'A'}]}", "resources.gpus[0].name: the resource name"),
        ("resources: {mig: [{name: a}]}", "resources.mig[0].pattern: is missing"),
        ("resources: {gpu: []}", "resources.gpu: unknown key (did you mean gpus?)"),
        ("imex: {channelIDs: [1]}", "imex.channelIDs[0]: must be 0, found the number 1"),
        ("imex: {channels: [0]}", "imex.channels: unknown key"),
        (
            f"{{pools: [{{name: gpu.shared, devices: [0]}}], {MINIMAL.replace('{resources', '{renameByDefault: true, resources')}}}",
            "sharing: nvidia.com/gpu is advertised as nvidia.com/gpu.shared, which is the name of a pool",
        ),
    ],
)
def test_every_problem_has_its_path(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text, "plugin")
    assert found.startswith(problem)
