"""NFD's feature model: three maps keyed `<source>.<feature>` (NodeFeature v1alpha1, spec.features). All values are strings."""

from collections.abc import Mapping

import msgspec

Attributes = Mapping[str, str]


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """The features of a host, from which rules and sources derive labels.

    flags: `cpu.cpuid` -> names. attributes: `kernel.version` -> name -> value. instances: `pci.device` -> one mapping per device.
    A feature is missing if it could not be read, and present but empty if the host has no elements. Rules depend on this difference.
    """

    flags: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    attributes: Mapping[str, Attributes] = msgspec.field(default_factory=dict)
    instances: Mapping[str, tuple[Attributes, ...]] = msgspec.field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The names of all features."""
        return frozenset({*self.flags, *self.attributes, *self.instances})


def merge_features(parts: tuple[Features, ...]) -> Features:
    """Merges feature sets. A later part replaces the same `<source>.<feature>` of an earlier part."""
    return Features(
        flags={name: value for part in parts for name, value in part.flags.items()},
        attributes={name: value for part in parts for name, value in part.attributes.items()},
        instances={name: value for part in parts for name, value in part.instances.items()},
    )


def exclude_features(features: Features, hidden: tuple[str, ...]) -> Features:
    """Removes the hidden features. hidden: names `<source>.<feature>`, or prefixes that end with `*`."""

    def is_shown(name: str) -> bool:
        return not any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in hidden)

    return Features(
        flags={name: value for name, value in features.flags.items() if is_shown(name)},
        attributes={name: value for name, value in features.attributes.items() if is_shown(name)},
        instances={name: value for name, value in features.instances.items() if is_shown(name)},
    )
