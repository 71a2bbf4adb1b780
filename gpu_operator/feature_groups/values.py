"""The values of features, of which equal ones exist once. PURE.

Most Nodes of a cluster have the same kernel, CPU and devices. So the memory grows with the different values and not with the Nodes, and a
rule is evaluated once for all Nodes that have the same values of its features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from node_core.domain.features import Attributes, Features


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class FeatureValue:
    """The values of one feature, by kind, as in Features. None: there are no values of this kind.

    is_partial: there may be more elements, because the values are from the labels of the Node. Compared by identity: see `ValuePool`.
    """

    flags: frozenset[str] | None = None
    attributes: Attributes | None = None
    instances: tuple[Attributes, ...] | None = None
    is_partial: bool = False


Kind = TypeVar("Kind")
UNKNOWN = FeatureValue(is_partial=True)
"""The value of a feature that the Node may have, and has not published."""
Values = Mapping[str, FeatureValue]
"""Name of the feature, in lower case -> its value."""


class ValuePool:
    """Returns the same object for equal values. A value that is no longer used is forgotten. Not thread-safe."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[object, FeatureValue] = WeakValueDictionary()

    def intern(
        self,
        flags: frozenset[str] | None = None,
        attributes: Attributes | None = None,
        instances: tuple[Attributes, ...] | None = None,
        *,
        is_partial: bool = False,
    ) -> FeatureValue:
        key = (
            flags,
            None if attributes is None else frozenset(attributes.items()),
            None if instances is None else tuple(frozenset(each.items()) for each in instances),
            is_partial,
        )
        value = self._known.get(key)
        if value is None:
            value = FeatureValue(flags=flags, attributes=attributes, instances=instances, is_partial=is_partial)
            self._known[key] = value
        return value

    def intern_features(self, features: Features, *, is_partial: bool = False) -> dict[str, FeatureValue]:
        """Returns the value of each feature. The names become lower case, as rules find features."""
        named = {name.lower(): name for name in features.names}
        return {
            lower: self.intern(
                features.flags.get(name),
                features.attributes.get(name),
                features.instances.get(name),
                is_partial=is_partial,
            )
            for lower, name in named.items()
        }

    def merge(self, first: FeatureValue, second: FeatureValue) -> FeatureValue:
        """Unites the values: a later attribute replaces an earlier one, and instances are appended."""
        return self.intern(
            _unite(first.flags, second.flags, lambda one, two: one | two),
            _unite(first.attributes, second.attributes, lambda one, two: {**one, **two}),
            _unite(first.instances, second.instances, lambda one, two: (*one, *two)),
            is_partial=first.is_partial or second.is_partial,
        )


def _unite(first: Kind | None, second: Kind | None, unite: Callable[[Kind, Kind], Kind]) -> Kind | None:
    if first is None or second is None:
        return second if first is None else first
    return unite(first, second)
