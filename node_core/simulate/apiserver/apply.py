"""Server-side apply and field ownership. PURE: the caller brings the clock.

Source: Kubernetes documentation, Server-Side Apply. Ownership is honest: who applies, owns; who writes otherwise, takes what it
changes; a field with two owners stays until the last one lets go.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.simulate.apiserver.fields import (
    Path,
    Paths,
    applied_paths,
    difference,
    flatten,
    parse_fields,
    render_fields,
    show_path,
    without_paths,
)
from node_core.simulate.apiserver.schema import Keyed, Names, SetOf, shape_of
from node_core.simulate.apiserver.status import ApiError, Cause, Obj, apply_conflict, bad_request


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Manager:
    """One owner: the same name is another owner for another operation (Apply, Update), version or subresource."""

    operation: str
    name: str
    api_version: str
    subresource: str = ""

    def shown(self) -> str:
        """As conflicts name it."""
        within = f' with subresource "{self.subresource}"' if self.subresource else ""
        using = "" if self.operation == "Apply" else f" using {self.api_version}"
        return f'"{self.name}"{within}{using}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """time: of the manager's last effective write, RFC 3339 in UTC with whole seconds."""

    paths: Paths
    time: str


Owners = dict[Manager, Owned]


def parse_owners(managed_fields: Any) -> Owners:
    """The owners in metadata.managedFields."""
    return {_manager(entry): _owned(entry) for entry in managed_fields or ()}


def render_owners(owners: Mapping[Manager, Owned]) -> list[Obj]:
    """metadata.managedFields: applies first, then by time and name; owners of nothing are left out."""
    ordered = sorted(owners.items(), key=lambda item: (item[0].operation, item[1].time, item[0]))
    return [_entry(manager, owned) for manager, owned in ordered if owned.paths]


def apply_config(live: Obj, config: Obj, manager: Manager, *, force: bool, now: str) -> Obj:
    """The object after `manager` applied `config` to it. Raises ApiError 409 with every conflict, unless forced.

    live: the object as it is; of one that does not exist yet only apiVersion and kind.
    """
    kind = live["kind"]
    owners = owners_of(live)
    wanted = _without_nulls(config)
    mine = applied_paths(wanted, kind)
    last = owners.pop(manager, Owned(paths=frozenset(), time=now))
    merged = _merge(live, wanted, kind, ())
    result = without_paths(merged, _abandoned(merged, kind, last.paths, mine, owners), kind)
    change = difference(live, result, kind)
    if not force:
        _refuse_conflicts(owners, change.changed)
    time = now if change.changed or change.removed or mine != last.paths else last.time
    kept = _taken_from(owners, change.changed | change.removed)
    return with_owners(result, kept | {manager: Owned(paths=mine, time=time)})


def record_update(old: Obj, new: Obj, manager: Manager, *, now: str) -> Obj:
    """`new` with managedFields: `manager` takes what differs from `old`; the others lose it."""
    owners = owners_of(old)
    change = difference(old, new, old["kind"])
    if not change.changed and not change.removed:
        return with_owners(new, owners)
    last = owners.pop(manager, Owned(paths=frozenset(), time=now))
    mine = Owned(paths=(last.paths | change.changed) - change.removed, time=now)
    return with_owners(new, _taken_from(owners, change.changed | change.removed) | {manager: mine})


def owners_of(obj: Obj) -> Owners:
    return parse_owners((obj.get("metadata") or {}).get("managedFields"))


def with_owners(obj: Obj, owners: Owners) -> Obj:
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name != "managedFields"}
    entries = render_owners(owners)
    return {**obj, "metadata": metadata | ({"managedFields": entries} if entries else {})}


def _merge(live: Any, config: Any, kind: str, names: Names) -> Any:
    shape = shape_of(kind, names, config)
    if isinstance(config, dict) and shape is None and isinstance(live, dict):
        changed = {name: _merge(live.get(name), value, kind, (*names, name)) for name, value in config.items()}
        return {**live, **changed}
    if isinstance(config, list) and isinstance(live, list):
        if isinstance(shape, Keyed):
            return _merge_items(live, config, shape, kind, names)
        if isinstance(shape, SetOf):
            return live + [item for item in config if item not in live]
    return copy.deepcopy(config)


def _merge_items(live: list[Any], config: list[Any], shape: Keyed, kind: str, names: Names) -> list[Any]:
    wanted = {shape.key_of(item): item for item in config}
    if None in wanted:
        keys = ", ".join(shape.keys)
        raise bad_request(
            f".{'.'.join(names)}: associative list with keys has an element that omits key field {keys!r}"
        )
    merged = [
        _merge(item, wanted[key], kind, names) if (key := shape.key_of(item)) in wanted else item for item in live
    ]
    present = {shape.key_of(item) for item in live}
    return merged + [copy.deepcopy(item) for key, item in wanted.items() if key not in present]


def _abandoned(merged: Obj, kind: str, last: Paths, mine: Paths, others: Owners) -> Paths:
    """What the manager applied before and does not any more, and nobody else owns, nor anything below it."""
    owned = mine.union(*(owned.paths for owned in others.values()))
    above = {path[:depth] for path in owned for depth in range(1, len(path))}
    return frozenset(path for path in (last - owned) & flatten(merged, kind).keys() if path not in above)


def _refuse_conflicts(owners: Owners, changed: Paths) -> None:
    found = [(manager, path) for manager, owned in sorted(owners.items()) for path in sorted(owned.paths & changed)]
    if found:
        raise _conflict_error(found)


def _conflict_error(found: list[tuple[Manager, Path]]) -> ApiError:
    causes = [
        Cause(reason="FieldManagerConflict", message=f"conflict with {manager.shown()}", field=show_path(path))
        for manager, path in found
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        by_manager: dict[str, list[str]] = {}
        for cause in causes:
            by_manager.setdefault(cause.message.replace("conflict", "conflicts", 1), []).append(f"- {cause.field}")
        groups = ["\n".join([f"{head}:", *fields]) for head, fields in by_manager.items()]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(groups)
    return apply_conflict(message, causes)


def _taken_from(owners: Owners, taken: Paths) -> Owners:
    return {manager: Owned(paths=owned.paths - taken, time=owned.time) for manager, owned in owners.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _manager(entry: Mapping[str, Any]) -> Manager:
    return Manager(
        operation=entry.get("operation", "Update"),
        name=entry.get("manager", ""),
        api_version=entry.get("apiVersion", ""),
        subresource=entry.get("subresource", ""),
    )


def _owned(entry: Mapping[str, Any]) -> Owned:
    return Owned(paths=frozenset(parse_fields(entry.get("fieldsV1") or {})), time=entry.get("time", ""))


def _entry(manager: Manager, owned: Owned) -> Obj:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": render_fields(owned.paths),
    }
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})
