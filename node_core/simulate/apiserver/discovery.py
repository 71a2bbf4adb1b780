"""What the API says of itself: groups, resources, version, and as much OpenAPI as kubectl needs. PURE.

Source: Kubernetes API concepts, discovery. kubectl reads OpenAPI v3 to learn whether PATCH takes fieldValidation; where it does, kubectl
leaves validation to the server and needs no schema.
"""

from collections.abc import Iterable

from node_core.simulate.apiserver.resources import RESOURCES, Resource, group_versions
from node_core.simulate.apiserver.status import Obj

VERSION = "v1.34.0+gpunode-simulated"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def version() -> Obj:
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none: this is gpunode's stand-in for kube-apiserver, written in Python",
        "compiler": "none",
        "platform": "linux/amd64",
    }


def answer(path: str) -> Obj | None:
    """The discovery document at a path, or None."""
    return documents().get(path.rstrip("/"))


def documents() -> dict[str, Obj]:
    """Every discovery document by its path."""
    found: dict[str, Obj] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(*each) for each in group_versions() if each[0]],
        },
        "/version": version(),
        "/openapi/v2": _openapi_v2(),
        "/openapi/v3": _openapi_index(),
    }
    for group, name in group_versions():
        path = _path(group, name)
        members = [resource for resource in RESOURCES if (resource.group, resource.version) == (group, name)]
        found[f"/{path}"] = _resource_list(group, name, members)
        found[f"/openapi/v3/{path}"] = _openapi(members)
        if group:
            found[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, name)}
    return found


def _path(group: str, name: str) -> str:
    return f"apis/{group}/{name}" if group else f"api/{name}"


def _group(group: str, name: str) -> Obj:
    entry = {"groupVersion": f"{group}/{name}", "version": name}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource_list(group: str, name: str, members: Iterable[Resource]) -> Obj:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{name}" if group else name,
        "resources": [entry for resource in members for entry in _resource_entries(resource)],
    }


def _resource_entries(resource: Resource) -> list[Obj]:
    base = {"singularName": resource.kind.lower(), "namespaced": resource.namespaced, "kind": resource.kind}
    short = {"shortNames": list(resource.short)} if resource.short else {}
    entries = [{"name": resource.plural, **base, "verbs": _VERBS, **short}]
    for subresource in resource.every_subresource:
        kind, verbs = _SUBRESOURCES[subresource]
        extra = {"group": "policy", "version": "v1"} if subresource == "eviction" else {}
        entry = {"name": f"{resource.plural}/{subresource}", **base, "singularName": "", "verbs": verbs, **extra}
        entries.append(entry | ({"kind": kind} if kind else {}))
    return entries


_SUBRESOURCES: dict[str, tuple[str, list[str]]] = {
    "status": ("", ["get", "patch", "update"]),
    "binding": ("Binding", ["create"]),
    "eviction": ("Eviction", ["create"]),
}


def _openapi_index() -> Obj:
    paths = [_path(*each) for each in group_versions()]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={VERSION}"} for path in paths}}


def _openapi(members: Iterable[Resource]) -> Obj:
    return {
        "openapi": "3.0.0",
        "info": {"title": "gpunode's stand-in for kube-apiserver", "version": VERSION},
        "paths": {_template(resource): {"patch": _patch_operation(resource)} for resource in members},
    }


def _openapi_v2() -> Obj:
    return {
        "swagger": "2.0",
        "info": {"title": "gpunode's stand-in for kube-apiserver", "version": VERSION},
        "paths": {},
        "definitions": {},
    }


def _template(resource: Resource) -> str:
    within = "namespaces/{namespace}/" if resource.namespaced else ""
    return f"/{_path(resource.group, resource.version)}/{within}{resource.plural}/{{name}}"


def _patch_operation(resource: Resource) -> Obj:
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
