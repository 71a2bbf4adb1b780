"""What others say of our node in NodeFeature objects, merged with what we found ourselves. PURE. Source: NFD's API, NodeFeature.

Whoever may create such an object in any namespace has written it: what is odd is left out, each alone, and said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Labels
from node_core.domain.node_feature import VERSION_ANNOTATION

LABEL_PREFIX = "feature.node.kubernetes.io/"
MATCHED = "rule.matched"
"""What rules see of the rules before them: nobody else's to say."""
LONGEST_NAME = 253
LONGEST_VALUE = 4096
MOST_ELEMENTS = 20_000
"""Of one object; a kernel's whole configuration is half of that."""
MOST_IN_ALL = 200_000
MOST_PROBLEMS = 20
"""So many are told of one object; the others are counted."""

Settle = Callable[[str, str, Mapping[str, Attributes]], str]
"""From a label's full key, its value and the attributes of the node to the value to publish. Raises ValueError with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureProblem:
    """object: `namespace/name`. where: the field in it that was left out. why: a sentence."""

    object: str
    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """features: ours and theirs. labels: those that others ask for; of two objects with the same label the later one wins."""

    features: Features
    labels: Labels
    problems: tuple[FeatureProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where we are. namespace: of our pod."""

    node_name: str
    namespace: str


def merge_node_features(own: Features, objects: Iterable[Mapping[str, Any]], *, place: Place, settle: Settle) -> Merged:
    """own: what this process found; it comes first. Then objects of our namespace, then by name, then by namespace.

    Flags are united, of attributes the later wins, instances are appended. What an NFD worker says of this node is passed over: that
    is what we look for ourselves, and its object may be older than we are.
    """
    ours = (obj for obj in objects if not _is_workers(obj, place.node_name))
    readers = [_Reader(obj) for obj in sorted(ours, key=lambda obj: _order(obj, place.namespace))]
    features = _join(own, tuple(_within_limits(readers)))
    labels = {key: value for each in readers for key, value in each.labels(settle, features.attributes).items()}
    return Merged(features=features, labels=labels, problems=tuple(note for each in readers for note in each.told()))


def _is_workers(obj: Mapping[str, Any], node_name: str) -> bool:
    metadata = obj["metadata"]
    return metadata["name"] == node_name and VERSION_ANNOTATION in (metadata.get("annotations") or {})


def _order(obj: Mapping[str, Any], own_namespace: str) -> tuple[bool, str, str]:
    namespace = obj["metadata"].get("namespace", "")
    return namespace != own_namespace, obj["metadata"]["name"], namespace


class _Reader:
    """One object. What is odd about it is noted while it is read."""

    def __init__(self, obj: Mapping[str, Any]) -> None:
        self._notes: list[FeatureProblem] = []
        metadata = obj["metadata"]
        self._name = f"{metadata.get('namespace', '')}/{metadata['name']}"
        self._spec = self._map("spec", obj.get("spec"))

    def note(self, where: str, why: str) -> None:
        self._notes.append(FeatureProblem(object=self._name, where=where, why=why))

    def told(self) -> tuple[FeatureProblem, ...]:
        rest = len(self._notes) - MOST_PROBLEMS
        if rest <= 0:
            return tuple(self._notes)
        more = FeatureProblem(object=self._name, where="spec", why=f"{rest} more such problems")
        return (*self._notes[:MOST_PROBLEMS], more)

    def features(self) -> Features:
        found = self._map("spec.features", self._spec.get("features"))
        flags, attributes, instances = (
            self._elements(f"spec.features.{kind}", found.get(kind)) for kind in ("flags", "attributes", "instances")
        )
        return Features(
            flags={name: frozenset(self._map(where, value)) for name, where, value in flags},
            attributes={name: self._texts(where, value) for name, where, value in attributes},
            instances={name: self._instances(where, value) for name, where, value in instances},
        )

    def labels(self, settle: Settle, attributes: Mapping[str, Attributes]) -> Labels:
        """Full keys; where a key is there with its namespace and without, the one with it counts."""
        said = self._texts("spec.labels", self._spec.get("labels"))
        bare = {LABEL_PREFIX + key: value for key, value in said.items() if "/" not in key}
        settled: dict[str, str] = {}
        for key, value in sorted((bare | {key: value for key, value in said.items() if "/" in key}).items()):
            try:
                settled[key] = settle(key, value, attributes)
            except ValueError as error:
                self.note(f"spec.labels.{key}", str(error))
        return settled

    def _elements(self, where: str, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Feature, where its elements stand, and the elements."""
        for name, feature in self._map(where, value).items():
            place = f"{where}.{name}"
            if name.lower() == MATCHED:
                self.note(place, "only rules say what rules matched")
            else:
                yield name, f"{place}.elements", self._map(place, feature).get("elements")

    def _instances(self, where: str, value: Any) -> tuple[Attributes, ...]:
        if not isinstance(value, list | None):
            self.note(where, "is not a list")
            return ()
        places = [(f"{where}[{index}]", instance) for index, instance in enumerate(value or ())]
        return tuple(
            self._texts(f"{place}.attributes", self._map(place, instance).get("attributes"))
            for place, instance in places
        )

    def _map(self, where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping | None):
            self.note(where, "is not a map")
            return {}
        return {key: each for key, each in (value or {}).items() if self._is_name(where, key)}

    def _is_name(self, where: str, key: Any) -> bool:
        good = isinstance(key, str) and 0 < len(key) <= LONGEST_NAME and key.isprintable()
        if not good:
            self.note(where, f"{str(key)[:40]!r} is no name: 1 to {LONGEST_NAME} printable characters")
        return good

    def _texts(self, where: str, value: Any) -> dict[str, str]:
        return {key: each for key, each in self._map(where, value).items() if self._is_value(f"{where}.{key}", each)}

    def _is_value(self, where: str, value: Any) -> bool:
        if not isinstance(value, str):
            self.note(where, "is not a string")
            return False
        if len(value) > LONGEST_VALUE:
            self.note(where, f"has {len(value)} characters, {LONGEST_VALUE} are allowed")
            return False
        return True


def _within_limits(readers: Iterable[_Reader]) -> Iterator[Features]:
    """The features of each object, without those of objects that say too much."""
    total = 0
    for reader in readers:
        features = reader.features()
        size = _size(features)
        if size > MOST_ELEMENTS or total + size > MOST_IN_ALL:
            reader.note(
                "spec.features", f"{size} elements are more than there is room for: {MOST_ELEMENTS} of one object"
            )
            continue
        total += size
        yield features


def _size(features: Features) -> int:
    instances = sum(1 + len(instance) for each in features.instances.values() for instance in each)
    flat = sum(1 + len(each) for kind in (features.flags, features.attributes) for each in kind.values())
    return flat + instances + len(features.instances)


def _join(own: Features, others: tuple[Features, ...]) -> Features:
    flags, attributes, instances = dict(own.flags), dict(own.attributes), dict(own.instances)
    for each in others:
        flags |= {name: flags.get(name, frozenset()) | names for name, names in each.flags.items()}
        attributes |= {name: {**attributes.get(name, {}), **values} for name, values in each.attributes.items()}
        instances |= {name: (*instances.get(name, ()), *more) for name, more in each.instances.items()}
    return Features(flags=flags, attributes=attributes, instances=instances)
