"""Whole label sets of whole hosts."""

from collections.abc import Callable

import pytest

from nfd_lite.sources import ALL, Host, SourceSettings, collect
from node_core.domain.labels import merge_collected, split_valid


@pytest.mark.golden
@pytest.mark.parametrize("name", ["xeon-h100", "amd-vm", "arm64-board", "container-vm"])
def test_labels_of_a_whole_host_are_exactly_these(
    name: str, named_host: Callable[[str], Host], golden: Callable[[str, str], None]
) -> None:
    collection = collect(named_host(name), SourceSettings(), ALL)
    labels, refused = split_valid(merge_collected(collection.collected, {}))
    assert not refused
    assert not collection.errors
    golden(f"nfd_lite/{name}.txt", "".join(f"{key}={value}\n" for key, value in labels.items()))


@pytest.mark.golden
@pytest.mark.parametrize("name", ["xeon-h100", "arm64-board"])
def test_features_of_a_whole_host_are_exactly_these(
    name: str, named_host: Callable[[str], Host], golden: Callable[[str, str], None]
) -> None:
    features = collect(named_host(name), SourceSettings(), ALL).features
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
    golden(f"nfd_lite/{name}.features.txt", "".join(sorted(flags + pairs) + devices))
