"""Merges the NodeFeature objects of other writers with the features of this host. PURE. Source: NFD's API, NodeFeature.

Anyone who may create NodeFeature objects can write them, so the content is not trusted: each invalid entry is left out and reported.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from nfd_lite.label_keys import qualify_keys
from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Labels
from node_core.domain.node_feature import VERSION_ANNOTATION

RESERVED: Mapping[str, str] = {
    "rule.matched": "only rules can set it",
    "node.label": "only the labels of the Node itself count",
}
"""Features that a NodeFeature object must not set -> reason."""
MAX_NAME_LENGTH = 253
MAX_VALUE_LENGTH = 4096
MAX_ELEMENTS = 20_000
"""Maximum elements of one object. A complete kernel configuration has half as many."""
MAX_TOTAL_ELEMENTS = 200_000
MAX_PROBLEMS = 20
"""Maximum problems that are reported for one object; further ones are counted."""

LabelResolver = Callable[[str, str, Mapping[str, Attributes]], str]
"""(full key, value, attributes of the node) -> value of the label to publish. Raises ValueError with the reason."""


class FeatureProblem(msgspec.Struct, frozen=True, kw_only=True):
    """object: `namespace/name`. where: the path of the field that was left out. why: a sentence."""

    object: str
    where: str
    why: str


class MergeResult(msgspec.Struct, frozen=True, kw_only=True):
    """features: of this host and of the objects. labels: of the objects; if two objects have the same label, the later object wins."""

    features: Features
    labels: Labels
    problems: tuple[FeatureProblem, ...] = ()


class NodeContext(msgspec.Struct, frozen=True, kw_only=True):
    """The node and the namespace of this agent's pod."""

    node_name: str
    namespace: str


def merge_node_features(
    own: Features, objects: Iterable[Mapping[str, Any]], *, context: NodeContext, resolve_label: LabelResolver
) -> MergeResult:
    """own: the features of this host, which come first. The objects follow: own namespace first, then by name, then by namespace.

    Flags are united, a later attribute replaces an earlier one, instances are appended. Objects of an NFD worker for this node are
    ignored: they contain the same features as `own`, and may be out of date.
    """
    others = (obj for obj in objects if not _is_worker_object(obj, context.node_name))
    readers = [NodeFeatureReader(obj) for obj in sorted(others, key=lambda obj: _order(obj, context.namespace))]
    features = _merge_features(own, tuple(_limit_features(readers)))
    labels = {key: value for each in readers for key, value in each.labels(resolve_label, features.attributes).items()}
    return MergeResult(
        features=features, labels=labels, problems=tuple(note for each in readers for note in each.problems())
    )


def _is_worker_object(obj: Mapping[str, Any], node_name: str) -> bool:
    metadata = obj["metadata"]
    return metadata["name"] == node_name and VERSION_ANNOTATION in (metadata.get("annotations") or {})


def _order(obj: Mapping[str, Any], own_namespace: str) -> tuple[bool, str, str]:
    namespace = obj["metadata"].get("namespace", "")
    return namespace != own_namespace, obj["metadata"]["name"], namespace


class NodeFeatureReader:
    """Reads one object and collects its problems."""

    def __init__(self, obj: Mapping[str, Any]) -> None:
        self._notes: list[FeatureProblem] = []
        metadata = obj["metadata"]
        self._name = f"{metadata.get('namespace', '')}/{metadata['name']}"
        self._spec = self._map("spec", obj.get("spec"))

    def note(self, where: str, why: str) -> None:
        self._notes.append(FeatureProblem(object=self._name, where=where, why=why))

    def problems(self) -> tuple[FeatureProblem, ...]:
        excess = len(self._notes) - MAX_PROBLEMS
        if excess <= 0:
            return tuple(self._notes)
        more = FeatureProblem(object=self._name, where="spec", why=f"{excess} more problems")
        return (*self._notes[:MAX_PROBLEMS], more)

    def features(self) -> Features:
        features = self._map("spec.features", self._spec.get("features"))
        flags, attributes, instances = (
            self._elements(f"spec.features.{kind}", features.get(kind)) for kind in ("flags", "attributes", "instances")
        )
        return Features(
            flags={name: frozenset(self._map(where, value)) for name, where, value in flags},
            attributes={name: self._texts(where, value) for name, where, value in attributes},
            instances={name: self._instances(where, value) for name, where, value in instances},
        )

    def labels(self, resolve_label: LabelResolver, attributes: Mapping[str, Attributes]) -> Labels:
        labels: dict[str, str] = {}
        for key, value in qualify_keys(self._texts("spec.labels", self._spec.get("labels"))).items():
            try:
                labels[key] = resolve_label(key, value, attributes)
            except ValueError as error:
                self.note(f"spec.labels.{key}", str(error))
        return labels

    def _elements(self, where: str, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Yields each feature with the path and the value of its elements."""
        for name, feature in self._map(where, value).items():
            place = f"{where}.{name}"
            if why := RESERVED.get(name.lower()):
                self.note(place, why)
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
        is_name = isinstance(key, str) and 0 < len(key) <= MAX_NAME_LENGTH and key.isprintable()
        if not is_name:
            self.note(where, f"{str(key)[:40]!r} is not a valid name. Use 1 to {MAX_NAME_LENGTH} printable characters")
        return is_name

    def _texts(self, where: str, value: Any) -> Mapping[str, str]:
        if is_sound(value):
            return cast("Mapping[str, str]", value)
        return {key: each for key, each in self._map(where, value).items() if self._is_value(f"{where}.{key}", each)}

    def _is_value(self, where: str, value: Any) -> bool:
        if not isinstance(value, str):
            self.note(where, "is not a string")
            return False
        if len(value) > MAX_VALUE_LENGTH:
            self.note(where, f"has {len(value)} characters; the maximum is {MAX_VALUE_LENGTH}")
            return False
        return True


def is_sound(value: Any) -> bool:
    """Returns whether every name and every value is valid. Checks a whole map at once: an object can have ten thousand elements."""
    if not isinstance(value, dict) or not value or {*map(type, value), *map(type, value.values())} != {str}:
        return False
    lengths = set(map(len, value))
    return (
        min(lengths) > 0
        and max(lengths) <= MAX_NAME_LENGTH
        and max(map(len, value.values())) <= MAX_VALUE_LENGTH
        and "".join(value).isprintable()
    )


def _limit_features(readers: Iterable[NodeFeatureReader]) -> Iterator[Features]:
    """Yields the features of the objects that do not exceed the limits."""
    total = 0
    for reader in readers:
        features = reader.features()
        size = count_elements(features)
        if size > MAX_ELEMENTS or total + size > MAX_TOTAL_ELEMENTS:
            reader.note(
                "spec.features",
                f"has {size} elements; the maximum is {MAX_ELEMENTS} for one object and {MAX_TOTAL_ELEMENTS} for all",
            )
            continue
        total += size
        yield features


def count_elements(features: Features) -> int:
    instances = sum(1 + len(instance) for each in features.instances.values() for instance in each)
    flat = sum(1 + len(each) for kind in (features.flags, features.attributes) for each in kind.values())
    return flat + instances + len(features.instances)


def _merge_features(own: Features, others: tuple[Features, ...]) -> Features:
    flags, attributes, instances = dict(own.flags), dict(own.attributes), dict(own.instances)
    for each in others:
        flags |= {name: flags.get(name, frozenset()) | names for name, names in each.flags.items()}
        attributes |= {name: {**attributes.get(name, {}), **values} for name, values in each.attributes.items()}
        instances |= {name: (*instances.get(name, ()), *more) for name, more in each.instances.items()}
    return Features(flags=flags, attributes=attributes, instances=instances)
