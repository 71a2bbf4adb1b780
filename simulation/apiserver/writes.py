"""Prepares objects before they are stored. PURE, except for the random letters of generateName."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from simulation.apiserver.decoding import decode_problem
from simulation.apiserver.patch import MalformedPatchError, PatchFailedError, json_patch, merge_patch
from simulation.apiserver.resources import Resource
from simulation.apiserver.status import ApiError, Cause, Obj, bad_request, invalid, rejected_patch
from simulation.apiserver.strategic import strategic_patch

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_METADATA = ("name", "namespace", "creationTimestamp", "generation")


class PatchType(StrEnum):
    """The patch formats by content type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The object of a request, or a collection if name is "". namespace: "" for a resource without namespaces, and for all namespaces."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """The author of a write. manager: the name of the field manager; None for an apply without a field manager."""

    manager: str | None
    force: bool = False


NO_WRITER = Writer(manager=None)


def unsupported_media_type(accepted: list[PatchType]) -> ApiError:
    known = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {known}"
    return ApiError(415, "UnsupportedMediaType", message)


def patched(old: Obj, form: PatchType, body: Any) -> Obj:
    try:
        if form is PatchType.JSON:
            return _object(json_patch(old, body))
        if not isinstance(body, dict):
            raise bad_request("error decoding patch: a map is needed")
        return _object(merge_patch(old, body) if form is PatchType.MERGE else strategic_patch(old, body, old["kind"]))
    except MalformedPatchError as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except PatchFailedError as error:
        raise rejected_patch() from error
    except (ValueError, AttributeError, TypeError) as error:
        raise bad_request(str(error)) from error


def _object(document: Any) -> Obj:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        raise rejected_patch()
    return document


def check_decodes(resource: Resource, body: Obj, *, patch: bool = False) -> None:
    problem = decode_problem(resource.kind, body)
    if problem and patch:
        cause = Cause(reason="FieldValueInvalid", message=f"Invalid value: {problem}", field="patch")
        raise invalid(resource.qualified_kind, (body.get("metadata") or {}).get("name", ""), [cause])
    if problem:
        kind, version = resource.kind, resource.version
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')


def check_apply(resource: Resource, body: Obj, writer: Writer) -> None:
    if not writer.manager:
        message = "Required value: is required for apply patch"
        raise invalid(
            "PatchOptions.meta.k8s.io", "", [Cause(reason="FieldValueRequired", message=message, field="fieldManager")]
        )
    if not body.get("apiVersion") or not body.get("kind"):
        raise bad_request(f"error decoding YAML: apiVersion and kind of a {resource.kind} must be set")
    if (body.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")


def map_at(body: Any, name: str) -> Obj:
    """Returns the map in a field of a body, or an empty map."""
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, dict) else {}


def with_name(body: Obj, target: Target) -> Obj:
    """Sets kind, name and namespace."""
    metadata = {
        name: value for name, value in (body.get("metadata") or {}).items() if name not in ("managedFields", "uid")
    }
    if target.resource.namespaced:
        metadata["namespace"] = target.namespace
    if target.name:
        metadata["name"] = target.name
    elif not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(random.choices(_NAME_LETTERS, k=5))  # nosec B311 # a name
    if not metadata.get("name"):
        cause = Cause(
            reason="FieldValueRequired",
            message="Required value: name or generateName is required",
            field="metadata.name",
        )
        raise invalid(target.resource.qualified_kind, "", [cause])
    return {**body, "apiVersion": target.resource.api_version, "kind": target.resource.kind, "metadata": metadata}


def without_pod_status(resource: Resource, obj: Obj) -> Obj:
    """Removes the status of a new Pod. The status of a new Node remains, because kubelets register with a status."""
    return {name: value for name, value in obj.items() if name != "status"} if resource.kind == "Pod" else obj


def own_part(target: Target, config: Obj) -> Obj:
    """Returns the part of an applied configuration that the path of the request may set."""
    if not target.resource.status:
        return config
    other = "spec" if target.subresource == "status" else "status"
    return {name: value for name, value in config.items() if name != other}


def within(target: Target, old: Obj, new: Obj) -> Obj:
    """Applies only the part of a write that the path of the request may set. Restores all fields that only the server sets."""
    result = {**new, "apiVersion": old["apiVersion"], "kind": old["kind"]}
    unchanged = {"spec": old.get("spec")} if target.subresource == "status" else {"status": old.get("status")}
    if target.resource.status:
        result = {name: value for name, value in (result | unchanged).items() if value is not None}
    metadata = {name: value for name, value in (new.get("metadata") or {}).items() if name not in _SERVER_METADATA}
    metadata |= {name: old["metadata"][name] for name in _SERVER_METADATA if name in old["metadata"]}
    return {**result, "metadata": metadata}
