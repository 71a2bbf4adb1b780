"""Manifests of pods that do not exist yet: `why -f`. PURE."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpunode.why.pod import PodDetails
from gpunode.why.subject import Subject
from gpunode.why.workloads import POD, WORKLOADS, Workload, find_kind, make_pod
from node_core.decode import decode_struct
from node_core.domain.labels import namespace_name_problem, object_name_problem
from node_core.domain.quantity import parse_quantity
from node_core.errors import SettingsError
from node_core.kubectl_yaml import WrittenFloat, WrittenInt
from node_core.scheduling.objects import Quantity
from node_core.schema import entry_types, found, item_type, struct_of

KINDS = (POD, *(each.kind for each in WORKLOADS))


def parse_manifests(documents: tuple[Any, ...], source: str, namespace: str) -> tuple[Subject, ...]:
    """Returns the pods of the documents. Objects of other kinds are ignored. namespace: of objects that name none. Raises SettingsError."""
    objects = [each for document in documents for each in _flatten(document, source)]
    subjects = tuple(_parse_object(each, source, namespace) for each in objects if each.get("kind") in KINDS)
    if not subjects:
        kinds = ", ".join(sorted({str(each.get("kind")) for each in objects})) or "nothing"
        raise SettingsError(
            [f"{source}: contains {kinds:.200}. Use a manifest with a {', '.join(KINDS[:-1])} or {KINDS[-1]}"]
        )
    return subjects


def _flatten(document: Any, source: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        raise SettingsError([f"{source}: expected an object of Kubernetes, found {found(document)}"])
    if isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flatten(item, source)
    elif not isinstance(document.get("kind"), str):
        raise SettingsError([f"{source}: an object has no `kind`"])
    else:
        yield document


def _parse_object(document: Mapping[str, Any], source: str, namespace: str) -> Subject:
    kind = find_kind(document["kind"])
    where = f"{source}: {document['kind']}"
    if kind is None or kind.kind == POD:
        pod = decode_struct(_known_parts(document, PodDetails), PodDetails, source=where)
    else:
        pod = make_pod(kind, decode_struct(_known_parts(document, Workload), Workload, source=where))
    named = _complete(pod, document, namespace)
    if problems := [f"{where}: {each}" for each in (*_name_problems(named, document), *_quantity_problems(named))]:
        raise SettingsError(problems)
    notes = (f"The scheduler does not place a pod with nodeName, which is {pod.spec.node_name} here. It is ignored.",)
    return Subject(pod=named, kind=document["kind"], is_live=False, notes=notes if pod.spec.node_name else ())


def _complete(pod: PodDetails, document: Mapping[str, Any], namespace: str) -> PodDetails:
    """Returns the Pod with a name and a namespace, and without a Node and a status."""
    metadata = document.get("metadata")
    prefix = str(metadata.get("generateName") or "") if isinstance(metadata, Mapping) else ""
    named = msgspec.structs.replace(
        pod.metadata,
        name=pod.metadata.name or prefix.rstrip("-."),
        namespace=pod.metadata.namespace or namespace,
    )
    return PodDetails(metadata=named, spec=msgspec.structs.replace(pod.spec, node_name=""))


def _name_problems(pod: PodDetails, document: Mapping[str, Any]) -> Iterator[str]:
    if not pod.metadata.name:
        yield "metadata.name: is missing"
    elif why := object_name_problem(pod.metadata.name, f"a {document['kind']}"):
        yield f"metadata.name: {why}"
    if why := namespace_name_problem(pod.metadata.namespace):
        yield f"metadata.namespace: {why}"


def _quantity_problems(pod: PodDetails) -> Iterator[str]:
    spec = pod.spec
    for container in (*spec.init_containers, *spec.containers):
        for part in (container.resources.limits, container.resources.requests):
            yield from (f"container {container.name}: {why}" for why in _amount_problems(part))
    for part in (spec.overhead, spec.resources.limits, spec.resources.requests):
        yield from _amount_problems(part)


def _amount_problems(amounts: Mapping[str, Quantity]) -> Iterator[str]:
    for name, text in amounts.items():
        try:
            if parse_quantity(text) < 0:
                yield f"{name}: {text} is negative"
        except ValueError as error:
            yield f"{name}: {error}"


def _known_parts(data: Any, into: Any) -> Any:
    """Returns the data without keys that the struct does not have, which have no effect here, and without nulls. Quantities are texts."""
    struct, item, entries = struct_of(into), item_type(into), entry_types(into)
    if isinstance(data, WrittenInt | WrittenFloat) and into == Quantity:
        return data.text
    if struct is not None and isinstance(data, Mapping):
        kinds = {each.encode_name: each.type for each in msgspec.structs.fields(struct)}
        return {
            key: _known_parts(value, kinds[key]) for key, value in data.items() if key in kinds and value is not None
        }
    if entries is not None and isinstance(data, Mapping):
        return {key: _known_parts(value, entries[1]) for key, value in data.items() if value is not None}
    if item is not None and isinstance(data, list):
        return [_known_parts(value, item) for value in data]
    return data
