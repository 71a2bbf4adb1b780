"""Features from the labels of a Node, for Nodes whose agent publishes labels and not NodeFeature objects. PURE.

The labels contain only a part of the features: for example, a PCI device has its class and vendor in a label, and only devices of some
classes have a label. So what the labels do not contain is not known. See docs/how-to/group-nodes.md.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from node_core.domain.features import Features

PREFIX = "feature.node.kubernetes.io/"
"""The namespace of the labels of Node Feature Discovery and of nfd-lite."""
_Found = tuple[str, str, str]
"""Feature, element, value."""

_ATTRIBUTES: tuple[tuple[str, Callable[[str], tuple[str, str]]], ...] = (
    ("cpu-cpuid.AVX10_VERSION", lambda _: ("cpu.cpuid", "AVX10_VERSION")),
    ("cpu-hardware_multithreading", lambda _: ("cpu.topology", "hardware_multithreading")),
    ("cpu-power.sst_bf.enabled", lambda _: ("cpu.sst", "bf.enabled")),
    ("memory-numa", lambda _: ("memory.numa", "is_numa")),
    ("memory-swap", lambda _: ("memory.swap", "enabled")),
    *(
        (f"{source}-{label}.", lambda name, feature=f"{source}.{label}": (feature, name))
        for source, label in (
            *(("cpu", each) for each in ("model", "cstate", "pstate", "security", "coprocessor")),
            *(("kernel", each) for each in ("version", "selinux")),
        )
    ),
    ("system-os_release.", lambda name: ("system.osrelease", name)),
)
"""The start of a label's name, or the whole name -> the attribute with the value of the label. The labels of kernel.config differ from the
feature: they contain `true` for `y`."""
_FLAG = "cpu-cpuid."
_PCI = re.compile(r"pci-([0-9a-f]{4})_([0-9a-f]{4})\.present")
_USB = re.compile(r"usb-([0-9a-f]{2})_([0-9a-f]{4})_([0-9a-f]{4})\.present")
"""The names with the default of deviceLabelFields."""


def has_agent(labels: Mapping[str, str]) -> bool:
    """Returns whether an agent publishes features of this Node as labels."""
    return any(key.startswith(PREFIX) for key in labels)


def features_of_labels(labels: Mapping[str, str]) -> Features:
    """Returns the features that the labels of a Node contain."""
    names = {key.removeprefix(PREFIX): value for key, value in labels.items() if key.startswith(PREFIX)}
    attributes: dict[str, dict[str, str]] = {}
    for feature, element, value in _attributes(names):
        attributes.setdefault(feature, {})[element] = value
    flags = frozenset(
        name.removeprefix(_FLAG) for name, value in names.items() if name.startswith(_FLAG) and value == "true"
    )
    return Features(
        flags={"cpu.cpuid": flags} if flags else {}, attributes=attributes, instances=dict(_instances(names))
    )


def _attributes(names: Mapping[str, str]) -> Iterator[_Found]:
    for name, value in names.items():
        for start, describe in _ATTRIBUTES:
            if name == start or (start.endswith(".") and name.startswith(start)):
                yield (*describe(name.removeprefix(start)), value)


def _instances(names: Mapping[str, str]) -> Iterator[tuple[str, tuple[Mapping[str, str], ...]]]:
    for feature, pattern, fields in (
        ("pci.device", _PCI, ("class", "vendor")),
        ("usb.device", _USB, ("class", "vendor", "device")),
    ):
        found = [match for name in sorted(names) if (match := pattern.fullmatch(name)) is not None]
        if found:
            yield feature, tuple(dict(zip(fields, match.groups(), strict=True)) for match in found)
    if names.get("storage-nonrotationaldisk") == "true":
        yield "storage.block", ({"rotational": "0"},)
