"""Labels become the features from which nfd-lite made the labels."""

from collections import defaultdict
from pathlib import Path

import pytest

from gpu_operator.feature_groups.from_labels import PREFIX, features_of_labels, has_agent
from node_core.domain.features import Features

GOLDEN = Path(__file__).parents[2] / "golden" / "nfd_lite"
HOSTS = sorted(path.name.removesuffix(".features.txt") for path in GOLDEN.glob("*.features.txt"))


def read_labels(host: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (GOLDEN / f"{host}.txt").read_text().splitlines())


def read_features(host: str) -> Features:
    flags, attributes, instances = (
        defaultdict[str, set[str]](set),
        defaultdict[str, dict[str, str]](dict),
        defaultdict[str, list[dict[str, str]]](list),
    )
    for line in (GOLDEN / f"{host}.features.txt").read_text().splitlines():
        kind, name, rest = [*line.split(" ", 2), ""][:3]
        if kind == "flag":
            flags[name].add(rest)
        elif kind == "attribute":
            key, _, value = rest.partition("=")
            attributes[name][key] = value
        else:
            instances[name].append(dict(each.split("=", 1) for each in rest.split(" ") if "=" in each))
    return Features(
        flags={name: frozenset(each) for name, each in flags.items()},
        attributes=dict(attributes),
        instances={name: tuple(each) for name, each in instances.items()},
    )


@pytest.mark.parametrize("host", HOSTS)
def test_every_feature_of_the_labels_is_a_feature_of_the_host(host: str) -> None:
    found, real = features_of_labels(read_labels(host)), read_features(host)
    for name, flags in found.flags.items():
        assert flags <= real.flags[name]
    for name, attributes in found.attributes.items():
        assert attributes.items() <= real.attributes[name].items()
    for name, instances in found.instances.items():
        for each in instances:
            assert any(each.items() <= device.items() for device in real.instances[name])


def test_the_labels_of_a_server_contain_most_features() -> None:
    found = features_of_labels(read_labels("xeon-h100"))
    assert {"cpu.cpuid", "cpu.model", "kernel.version", "pci.device", "system.osrelease"} <= found.names


def test_labels_of_others_and_of_the_kernel_config_are_no_features() -> None:
    labels = {"kubernetes.io/os": "linux", f"{PREFIX}kernel-config.NO_HZ": "true", f"{PREFIX}pci-10de.present": "true"}
    assert features_of_labels(labels).names == frozenset()
    assert has_agent(labels)
    assert not has_agent({"kubernetes.io/os": "linux", "nvidia.com/gpu.count": "8"})
