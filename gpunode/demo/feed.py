"""The live feed: one line for each change of an object in the cluster. PURE."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpunode.demo.changes import Difference, NodeState, differences, parse_node_state, render_resource
from gpunode.demo.gpu_names import GpuNames
from simulation.apiserver.store import Event

NODES, PODS, EVENTS, RULES = "nodes", "pods", "events", "nodefeaturerules.nfd.k8s-sigs.io"
SHOWN = (NODES, PODS, EVENTS, RULES)
"""The resources whose changes the feed shows."""
MANY = 10
"""More labels than this in one write are summarized."""
LONGEST = 600
"""Characters of a text."""

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """source: the field manager, or the component that reports. subject: the key or the object.

    kind: `+` added, `-` removed, `~` changed, `!` a warning, or "".
    """

    source: str
    subject: str
    text: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What the kubelet knows. unhealthy: device ids by resource. allocated: device ids by Pod UID."""

    names: GpuNames
    unhealthy: Callable[[str], Sequence[str]]
    allocated: Callable[[str], Sequence[str]]


def describe(event: Event, devices: Devices) -> tuple[Line, ...]:
    """Returns the lines of a change. The simulated API validates less than kube-apiserver, so an object can be malformed."""
    try:
        return tuple(_describe(event, devices))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"the object is malformed: {type(error).__name__}: {error}"
        return (Line(source=clean(event.manager or "unknown"), subject=event.resource, text=clean(problem), kind="!"),)


def _describe(event: Event, devices: Devices) -> Iterator[Line]:
    source = clean(event.manager or "unknown")
    match event.resource:
        case "nodes":
            yield from _describe_node(event, source, devices)
        case "pods":
            yield from _describe_pod(event, source, devices)
        case "events":
            yield from _describe_event(event.object, devices) if event.type != "DELETED" else ()
        case _:
            yield from _describe_object(event, source)


def _describe_node(event: Event, source: str, devices: Devices) -> Iterator[Line]:
    if event.before is None or event.type == "DELETED":
        yield from _describe_object(event, source)
        return
    before, after = parse_node_state(event.before), parse_node_state(event.object)
    yield from _label_lines(source, list(differences(before.labels, after.labels)))
    yield from _resource_lines(source, before, after, devices)
    yield from _condition_lines(source, before, after, devices.names)
    for taint in sorted(after.taints - before.taints):
        yield Line(source=source, subject="taint", text=clean(taint), kind="+")
    for taint in sorted(before.taints - after.taints):
        yield Line(source=source, subject="taint", text=clean(taint), kind="-")
    if before.is_cordoned != after.is_cordoned:
        text = "cordoned: gets no new pods" if after.is_cordoned else "uncordoned: gets new pods"
        yield Line(source=source, subject=_subject(event.object, "Node"), text=text, kind="~")


def _label_lines(source: str, changes: Sequence[Difference]) -> Iterator[Line]:
    added = [key for key, before, _ in changes if before is None]
    removed = [key for key, _, after in changes if after is None]
    for kind, keys in (("+", added), ("-", removed)):
        if len(keys) > MANY:
            yield Line(
                source=source, subject=f"{len(keys)} labels", text=f"{', '.join(map(clean, keys[:3]))}, ...", kind=kind
            )
    for key, before, after in changes:
        if (before is None and len(added) > MANY) or (after is None and len(removed) > MANY):
            continue
        yield _difference_line(source, key, before, after)


def _resource_lines(source: str, before: NodeState, after: NodeState, devices: Devices) -> Iterator[Line]:
    old, new = ({name: render_resource(*each) for name, each in state.resources.items()} for state in (before, after))
    for name, was, is_now in differences(old, new):
        line = _difference_line(source, name, was, is_now)
        unhealthy = devices.names.list(devices.unhealthy(name))
        yield Line(
            source=source,
            subject=line.subject,
            text=line.text + (f" (not healthy: {unhealthy})" if unhealthy else ""),
            kind=line.kind,
        )


def _condition_lines(source: str, before: NodeState, after: NodeState, names: GpuNames) -> Iterator[Line]:
    for name, (status, reason, message) in sorted(after.conditions.items()):
        was = before.conditions.get(name)
        if was != (status, reason, message):
            changed = f"{was[0]} -> {status}" if was and was[0] != status else status
            yield Line(
                source=source,
                subject=f"condition {clean(name)}",
                text=": ".join(filter(None, [clean(f"{changed} {reason}".strip()), clean(names.shorten(message))])),
                kind="~" if status == "True" else "!",
            )


def _describe_pod(event: Event, source: str, devices: Devices) -> Iterator[Line]:
    if event.before is None or event.type == "DELETED":
        wanted = ", ".join(f"{name} {amount}" for name, amount in sorted(_extended_resources(event.object).items()))
        yield from _describe_object(event, source, f" with {wanted}" if wanted and event.type == "ADDED" else "")
        return
    status, before = event.object.get("status") or {}, event.before.get("status") or {}
    phase = status.get("phase", "")
    if phase == before.get("phase"):
        return
    text = clean(phase)
    if phase == "Running" and (used := devices.names.list(devices.allocated(event.object["metadata"]["uid"]))):
        text += f" with {used}"
    if phase == "Failed":
        text += f": {clean(status.get('reason') or '')}: {clean(devices.names.shorten(status.get('message') or ''))}"
    yield Line(source=source, subject=_subject(event.object, "Pod"), text=text, kind="!" if phase == "Failed" else "~")


def _extended_resources(pod: Obj) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for container in pod["spec"]["containers"]:
        for name, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if "/" in name and str(amount).isdecimal():
                amounts[name] = amounts.get(name, 0) + int(amount)
    return amounts


def _describe_event(obj: Obj, devices: Devices) -> Iterator[Line]:
    about = obj.get("involvedObject") or {}
    source = obj.get("reportingComponent") or (obj.get("source") or {}).get("component") or "unknown"
    message = clean(devices.names.shorten(obj.get("message") or obj.get("note") or ""))
    count = obj.get("count") or 1
    times = f" ({count} times)" if count > 1 else ""
    yield Line(
        source=clean(source),
        subject=f"Event {clean(obj.get('reason') or '')}",
        text=f"{_name(about.get('kind', ''), about)}: {message}{times}",
        kind="!" if obj.get("type") == "Warning" else "",
    )


def _describe_object(event: Event, source: str, more: str = "") -> Iterator[Line]:
    what, kind = {"ADDED": ("created", "+"), "DELETED": ("deleted", "-")}.get(event.type, ("changed", "~"))
    if event.type == "MODIFIED" and event.before and event.before.get("spec") == event.object.get("spec"):
        return
    yield Line(
        source=source, subject=_subject(event.object, event.object.get("kind", "")), text=f"{what}{more}", kind=kind
    )


def _difference_line(source: str, key: str, before: str | None, after: str | None) -> Line:
    if before is None:
        return Line(source=source, subject=clean(key), text=clean(after or ""), kind="+")
    if after is None:
        return Line(source=source, subject=clean(key), text=clean(before), kind="-")
    return Line(source=source, subject=clean(key), text=f"{clean(before)} -> {clean(after)}", kind="~")


def _subject(obj: Obj, kind: str) -> str:
    return _name(kind, obj["metadata"])


def _name(kind: str, metadata: Obj) -> str:
    namespace = metadata.get("namespace") or "default"
    prefix = "" if namespace == "default" or kind == "Node" else f"{namespace}/"
    return clean(f"{kind} {prefix}{metadata.get('name', '')}".strip())


def clean(text: str) -> str:
    """Replaces characters that control a terminal, and shortens a long text."""
    shown = "".join(each if each.isprintable() else " " for each in text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
