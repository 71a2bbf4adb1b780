"""Discovery documents: groups, resources, the version, and the part of OpenAPI that kubectl needs. PURE.

Source: Kubernetes API concepts, discovery. kubectl reads OpenAPI v3 to check whether PATCH supports fieldValidation. If so, kubectl does
not validate objects and needs no schema.
"""

import functools
from collections.abc import Iterable

from simulation.apiserver.resources import RESOURCES, Resource, group_versions
from simulation.apiserver.status import Obj

VERSION = "v1.34.0+gpunode-simulated"
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def version() -> Obj:
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none: this kube-apiserver is simulated by gpunode",
        "compiler": "none",
        "platform": "linux/amd64",
    }


@functools.cache
def documents() -> dict[str, Obj]:
    """Returns the discovery documents by path."""
    documents_by_path: dict[str, Obj] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(*each) for each in group_versions() if each[0]],
        },
        "/version": version(),
        "/openapi/v3": _openapi_index(),
    }
    for group, name in group_versions():
        path = _path(group, name)
        members = [resource for resource in RESOURCES if (resource.group, resource.version) == (group, name)]
        documents_by_path[f"/{path}"] = _resource_list(group, name, members)
        documents_by_path[f"/openapi/v3/{path}"] = _openapi(members)
        if group:
            documents_by_path[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, name)}
    return documents_by_path


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
    if resource.status:
        verbs = ["get", "patch", "update"]
        entries.append({"name": f"{resource.plural}/status", **base, "singularName": "", "verbs": verbs})
    return entries


def _openapi_index() -> Obj:
    paths = [_path(*each) for each in group_versions()]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={VERSION}"} for path in paths}}


def _openapi(members: Iterable[Resource]) -> Obj:
    return {
        "openapi": "3.0.0",
        "info": {"title": "kube-apiserver simulated by gpunode", "version": VERSION},
        "paths": {_template(resource): {"patch": _patch_operation(resource)} for resource in members},
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
