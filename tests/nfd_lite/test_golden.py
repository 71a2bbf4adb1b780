"""All labels and features of captured hosts."""

from collections.abc import Callable

import pytest

from nfd_lite.sources import ALL, Host, SourceSettings, collect
from node_core.domain.desired import merge_labels
from node_core.domain.features import Features
from node_core.domain.labels import split_valid

CAPTURED = (
    "container-vm",
    "epyc-7451",
    "epyc-9334-sriov",
    "graviton2",
    "kvm-p100",
    "power9-v100",
    "xeon-4108-sriov",
    "xeon-5317",
    "xeon-l5640-vfs",
)
COMPOSED = (
    *("xeon-h100", "icelake-sriov", "epyc-genoa", "amd-vm", "arm64-board", "grace-hopper", "empty"),
    *("debian-13", "ec2-m6g", "raspberry-pi", "rhcos-4.19", "rhcos-4.22", "talos-i915"),
)
HOSTS = (*CAPTURED, *COMPOSED)
NamedHost = Callable[[str], Host]


@pytest.mark.golden
@pytest.mark.parametrize("name", HOSTS)
def test_the_labels_of_a_host(name: str, named_host: NamedHost, golden: Callable[[str, str], None]) -> None:
    collection = collect(named_host(name), SourceSettings(), ALL)
    labels, refused = split_valid(merge_labels(collection.results, {}))
    assert not refused
    assert not collection.errors
    golden(f"nfd_lite/{name}.txt", "".join(f"{key}={value}\n" for key, value in labels.items()))


@pytest.mark.golden
@pytest.mark.parametrize("name", HOSTS)
def test_the_features_of_a_host(name: str, named_host: NamedHost, golden: Callable[[str, str], None]) -> None:
    golden(f"nfd_lite/{name}.features.txt", render(collect(named_host(name), SourceSettings(), ALL).features))


def render(features: Features) -> str:
    flags = [f"flag {name} {flag}\n" for name, flags in features.flags.items() for flag in sorted(flags)]
    pairs = [
        f"attribute {name} {key}={value}\n"
        for name, values in features.attributes.items()
        for key, value in values.items()
    ]
    devices = [
        f"instance {name} {' '.join(f'{key}={value}' for key, value in device.items())}\n"
        for name, found in features.instances.items()
        for device in found
    ]
    return "".join(sorted(flags + pairs) + devices)


@pytest.mark.parametrize("name", HOSTS)
def test_a_collector_alone_has_the_same_labels_as_with_all_collectors(name: str, named_host: NamedHost) -> None:
    host = named_host(name)
    alone = [collect(host, SourceSettings(), (each,)).results for each in ALL]
    together = merge_labels(collect(host, SourceSettings(), ALL).results, {})
    assert merge_labels([part for parts in alone for part in parts], {}) == together
