"""NFD's feature model: three maps keyed `<source>.<feature>` (NodeFeature v1alpha1, spec.features). All values are strings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the host is, before anybody decides on labels.

    flags: `cpu.cpuid` -> names. attributes: `kernel.version` -> name -> value. instances: `pci.device` -> one mapping per device.
    A feature that could not be read is absent; one that was read and is empty is present and empty. Rules depend on that.
    """

    flags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    instances: Mapping[str, tuple[Attributes, ...]] = field(default_factory=dict)


def merge_features(parts: tuple[Features, ...]) -> Features:
    """One feature set of several; a later part replaces an equal `<source>.<feature>` of an earlier one."""
    return Features(
        flags={name: value for part in parts for name, value in part.flags.items()},
        attributes={name: value for part in parts for name, value in part.attributes.items()},
        instances={name: value for part in parts for name, value in part.instances.items()},
    )


def without_features(features: Features, hidden: tuple[str, ...]) -> Features:
    """Without those that are named: `<source>.<feature>`, or a beginning of it with `*` at the end."""

    def is_shown(name: str) -> bool:
        return not any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in hidden)

    return Features(
        flags={name: value for name, value in features.flags.items() if is_shown(name)},
        attributes={name: value for name, value in features.attributes.items() if is_shown(name)},
        instances={name: value for name, value in features.instances.items() if is_shown(name)},
    )
