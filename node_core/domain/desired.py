"""The desired state of a labelling agent as one value, and the completion of its unknown parts. PURE.

Each collector and each rule owns a part of the state. If an owner fails, its published labels, annotations, taints and resources remain.
The failure does not affect other owners.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TypeVar

import msgspec

from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.domain.taints import Taint, TaintId

Key = TypeVar("Key", str, TaintId)
Value = TypeVar("Value", str, Taint)


class DeclaredNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names that an owner may publish and that are known in advance. taints: key and effect of each taint."""

    labels: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()
    taints: frozenset[TaintId] = frozenset()
    extended_resources: frozenset[str] = frozenset()

    def __or__(self, other: "DeclaredNames") -> "DeclaredNames":
        return DeclaredNames(
            labels=self.labels | other.labels,
            annotations=self.annotations | other.annotations,
            taints=self.taints | other.taints,
            extended_resources=self.extended_resources | other.extended_resources,
        )


class CollectorResult(msgspec.Struct, frozen=True, kw_only=True):
    """The desired outputs of one owner. A field is None if the owner failed and the outputs of this kind are unknown.

    owns: prefixes of the label keys that belong to the owner. catch_all: the owner may publish labels with any key; if the owner
    fails, all published labels that belong to no other owner remain. declared: names that the owner may publish in addition to `owns`;
    None if the owner may publish any name of every kind.
    """

    name: str
    labels: Labels | None
    owns: tuple[str, ...] = ()
    catch_all: bool = False
    annotations: Mapping[str, str] | None = msgspec.field(default_factory=dict)
    taints: Mapping[TaintId, Taint] | None = msgspec.field(default_factory=dict)
    extended_resources: Mapping[str, str] | None = msgspec.field(default_factory=dict)
    declared: DeclaredNames | None = msgspec.field(default_factory=DeclaredNames)

    @property
    def is_failed(self) -> bool:
        return self.labels is None

    @property
    def is_unbounded(self) -> bool:
        """Whether the owner failed and may have published any label, or any name of every kind."""
        return self.is_failed and (self.catch_all or self.declared is None)

    @property
    def names(self) -> DeclaredNames:
        """The names that the owner publishes or declares."""
        published = DeclaredNames(
            labels=frozenset(self.labels or ()),
            annotations=frozenset(self.annotations or ()),
            taints=frozenset(self.taints or ()),
            extended_resources=frozenset(self.extended_resources or ()),
        )
        return published | (self.declared or DeclaredNames())


NOTHING = DeclaredNames()


class NameHistory:
    """The names that each owner had in this process. They bound what remains published for an owner that fails. Not thread-safe.

    If an unbounded owner fails, published names that belong to no owner remain. A name that another owner had in this process, and no
    longer has, is not one of them.
    """

    def __init__(self) -> None:
        self._names: dict[str, DeclaredNames] = {}

    def add(self, results: tuple[CollectorResult, ...]) -> tuple[CollectorResult, ...]:
        """Returns the results, and if an unbounded owner failed, one result that owns the former names of all other owners."""
        is_unbounded = any(each.is_unbounded for each in results)
        names = {each.name: each.names for each in results if not each.is_failed}
        failed = {each.name for each in results if each.is_failed}
        before = {name: each for name, each in self._names.items() if is_unbounded or name in failed}
        self._names = {name: before.get(name, NOTHING) | names.get(name, NOTHING) for name in before | names}
        if not is_unbounded:
            return results
        former = reduce(or_, (each for name, each in self._names.items() if name not in failed), NOTHING)
        return (CollectorResult(name="former-names", labels={}, declared=former), *results)


def failed_result(name: str, declared: DeclaredNames | None = None, *, catch_all: bool = True) -> CollectorResult:
    """Returns the result of a failed owner whose outputs of every kind are unknown. catch_all: see CollectorResult."""
    return CollectorResult(
        name=name,
        labels=None,
        catch_all=catch_all,
        annotations=None,
        taints=None,
        extended_resources=None,
        declared=declared,
    )


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """The desired state of an agent. results: in order of precedence, the last one wins. features: for a NodeFeature object.

    expires_at: Unix seconds at which a result expires and the agent collects again; None for never.
    """

    results: tuple[CollectorResult, ...] = ()
    features: Features = msgspec.field(default_factory=Features)
    expires_at: float | None = None

    @property
    def is_unknown(self) -> bool:
        """No collector succeeded."""
        return bool(self.results) and all(each.labels is None for each in self.results)


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """All outputs of an agent. extended_resources: quantities as text. taints: by key and effect."""

    labels: Labels = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    taints: Mapping[TaintId, Taint] = msgspec.field(default_factory=dict)
    extended_resources: Mapping[str, str] = msgspec.field(default_factory=dict)
    features: Features = msgspec.field(default_factory=Features)


def merge_published(observed: Outputs, before: Outputs) -> Outputs:
    """Merges the observed outputs with the outputs that this process desired before. The second win."""
    return Outputs(
        labels={**observed.labels, **before.labels},
        annotations={**observed.annotations, **before.annotations},
        taints={**observed.taints, **before.taints},
        extended_resources={**observed.extended_resources, **before.extended_resources},
    )


def complete(desired: Desired, published: Outputs) -> Outputs:
    """Returns the desired outputs without unknown parts: the outputs of a failed owner come from `published`."""
    results = desired.results
    labels = [(each.labels, _label_ownership(each)) for each in results]
    annotations = [(each.annotations, _ownership(each, (each.declared or NOTHING).annotations)) for each in results]
    taints = [(each.taints, _ownership(each, (each.declared or NOTHING).taints)) for each in results]
    resources = [
        (each.extended_resources, _ownership(each, (each.declared or NOTHING).extended_resources)) for each in results
    ]
    return Outputs(
        labels=_merge(labels, published.labels),
        annotations=_merge(annotations, published.annotations),
        taints=_merge(taints, published.taints),
        extended_resources=_merge(resources, published.extended_resources),
        features=desired.features,
    )


def merge_labels(results: Iterable[CollectorResult], published: Labels) -> dict[str, str]:
    """Returns all labels to publish. published: the labels that the agent published before."""
    return dict(complete(Desired(results=tuple(results)), Outputs(labels=published)).labels)


class _Ownership(msgspec.Struct, frozen=True, kw_only=True):
    names: frozenset[str] | frozenset[TaintId]
    prefixes: tuple[str, ...] = ()
    catch_all: bool = False

    def covers(self, name: str | TaintId) -> bool:
        return name in self.names or (isinstance(name, str) and name.startswith(self.prefixes))


def _ownership(result: CollectorResult, names: frozenset[str] | frozenset[TaintId]) -> _Ownership:
    return _Ownership(names=names, catch_all=result.declared is None)


def _label_ownership(result: CollectorResult) -> _Ownership:
    names = result.declared.labels if result.declared else frozenset[str]()
    return _Ownership(names=names, prefixes=result.owns, catch_all=result.catch_all or result.declared is None)


def _merge(
    parts: Sequence[tuple[Mapping[Key, Value] | None, _Ownership]], published: Mapping[Key, Value]
) -> dict[Key, Value]:
    """Merges parts; later parts win. If a failed owner may publish any name, published names that belong to no owner remain.

    Every part wins over these remaining names.
    """
    merged: dict[Key, Value] = {}
    if any(values is None and ownership.catch_all for values, ownership in parts):
        owned = [ownership for _, ownership in parts]
        merged = {name: value for name, value in published.items() if not any(each.covers(name) for each in owned)}
    for values, ownership in parts:
        retained = {name: value for name, value in published.items() if ownership.covers(name)}
        merged.update(retained if values is None else values)
    return dict(sorted(merged.items()))
