"""Server-side apply and field ownership. PURE: the caller passes the time.

Source: Kubernetes documentation, Server-Side Apply. A manager that applies a field owns the field. A manager that writes a field in
another way becomes the only owner of the field if the value changes. A field is removed when its last owner stops to apply the field.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulation.apiserver.fields import (
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
from simulation.apiserver.schema import Keyed, Names, shape_of
from simulation.apiserver.status import ApiError, Cause, Obj, apply_conflict, bad_request


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Manager:
    """A field manager. Two managers with the same name differ if operation (Apply, Update), version or subresource differ."""

    operation: str
    name: str
    api_version: str
    subresource: str = ""

    def display_name(self) -> str:
        """Returns the manager as conflict messages print it."""
        within = f' with subresource "{self.subresource}"' if self.subresource else ""
        using = "" if self.operation == "Apply" else f" using {self.api_version}"
        return f'"{self.name}"{within}{using}'


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFields:
    """The fields of one manager. time: of the last write that changed something, RFC 3339 in UTC with whole seconds."""

    paths: Paths
    time: str


Owners = dict[Manager, OwnedFields]


def parse_owners(managed_fields: Any) -> Owners:
    """Parses metadata.managedFields."""
    return {_parse_manager(entry): _parse_owned_fields(entry) for entry in managed_fields or ()}


def render_owners(owners: Mapping[Manager, OwnedFields]) -> list[Obj]:
    """Returns metadata.managedFields: Apply before Update, then by time and name, without managers that own no field."""
    ordered = sorted(owners.items(), key=lambda item: (item[0].operation, item[1].time, item[0]))
    return [_render_entry(manager, owned) for manager, owned in ordered if owned.paths]


def apply_config(live: Obj, config: Obj, manager: Manager, *, force: bool, now: str) -> Obj:
    """Returns the object after `manager` has applied `config`. Raises ApiError 409 with all conflicts, unless `force` is set.

    live: the current object; for a new object, only apiVersion and kind.
    """
    kind = live["kind"]
    owners = owners_of(live)
    applied = _without_nulls(config)
    own_fields = applied_paths(applied, kind)
    last = owners.pop(manager, OwnedFields(paths=frozenset(), time=now))
    merged = _merge(live, applied, kind, ())
    result = without_paths(merged, _select_abandoned(merged, kind, last.paths, own_fields, owners), kind)
    change = difference(live, result, kind)
    if not force:
        _refuse_conflicts(owners, change.changed)
    time = now if change.changed or change.removed or own_fields != last.paths else last.time
    other_owners = _without_fields(owners, change.changed | change.removed)
    return with_owners(result, other_owners | {manager: OwnedFields(paths=own_fields, time=time)})


def record_update(old: Obj, new: Obj, manager: Manager, *, now: str) -> Obj:
    """Returns `new` with managedFields. `manager` becomes the only owner of all fields that differ from `old`."""
    owners = owners_of(old)
    change = difference(old, new, old["kind"])
    if not change.changed and not change.removed:
        return with_owners(new, owners)
    last = owners.pop(manager, OwnedFields(paths=frozenset(), time=now))
    own_fields = OwnedFields(paths=(last.paths | change.changed) - change.removed, time=now)
    return with_owners(new, _without_fields(owners, change.changed | change.removed) | {manager: own_fields})


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
    if isinstance(config, list) and isinstance(live, list) and isinstance(shape, Keyed):
        return _merge_items(live, config, shape, kind, names)
    return copy.deepcopy(config)


def _merge_items(live: list[Any], config: list[Any], shape: Keyed, kind: str, names: Names) -> list[Any]:
    applied = {shape.item_key(item): item for item in config}
    if None in applied:
        keys = ", ".join(shape.keys)
        raise bad_request(
            f".{'.'.join(names)}: associative list with keys has an element that omits key field {keys!r}"
        )
    merged = [
        _merge(item, applied[key], kind, names) if (key := shape.item_key(item)) in applied else item for item in live
    ]
    present = {shape.item_key(item) for item in live}
    return merged + [copy.deepcopy(item) for key, item in applied.items() if key not in present]


def _select_abandoned(merged: Obj, kind: str, last: Paths, own_fields: Paths, others: Owners) -> Paths:
    """Returns the fields that the manager applied before and does not apply now, if no other manager owns the field or a field below."""
    owned = own_fields.union(*(owned.paths for owned in others.values()))
    above = {path[:depth] for path in owned for depth in range(1, len(path))}
    return frozenset(path for path in (last - owned) & flatten(merged, kind).keys() if path not in above)


def _refuse_conflicts(owners: Owners, changed: Paths) -> None:
    conflicts = [(manager, path) for manager, owned in sorted(owners.items()) for path in sorted(owned.paths & changed)]
    if conflicts:
        raise _conflict_error(conflicts)


def _conflict_error(conflicts: list[tuple[Manager, Path]]) -> ApiError:
    causes = [
        Cause(reason="FieldManagerConflict", message=f"conflict with {manager.display_name()}", field=show_path(path))
        for manager, path in conflicts
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


def _without_fields(owners: Owners, paths: Paths) -> Owners:
    return {manager: OwnedFields(paths=owned.paths - paths, time=owned.time) for manager, owned in owners.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _parse_manager(entry: Mapping[str, Any]) -> Manager:
    return Manager(
        operation=entry.get("operation", "Update"),
        name=entry.get("manager", ""),
        api_version=entry.get("apiVersion", ""),
        subresource=entry.get("subresource", ""),
    )


def _parse_owned_fields(entry: Mapping[str, Any]) -> OwnedFields:
    return OwnedFields(paths=frozenset(parse_fields(entry.get("fieldsV1") or {})), time=entry.get("time", ""))


def _render_entry(manager: Manager, owned: OwnedFields) -> Obj:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": render_fields(owned.paths),
    }
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})
