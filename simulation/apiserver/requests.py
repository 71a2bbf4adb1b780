"""Parses request lines. PURE. Source: Kubernetes API concepts, resource URIs and standard API terminology."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from simulation.apiserver.resources import find_resource
from simulation.apiserver.status import ApiError, no_such_path
from simulation.apiserver.writes import Target

_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STATUS_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """verb: as in RBAC: get, list, watch, create, update, patch or delete. query: the last value of each name."""

    verb: str
    target: Target
    query: Mapping[str, str]

    @property
    def template(self) -> str:
        """The path with placeholders for names: `/api/v1/namespaces/{namespace}/pods/{name}/status`."""
        target = self.target
        root = f"/apis/{target.resource.group}" if target.resource.group else "/api"
        parts = [
            root,
            target.resource.version,
            "namespaces/{namespace}" if target.namespace else "",
            target.resource.plural,
        ]
        return "/".join(filter(None, [*parts, "{name}" if target.name else "", target.subresource]))

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1", "t")


def parse_query(url: str) -> tuple[str, dict[str, str]]:
    """Returns the path, still percent-encoded, and the query."""
    split = urlsplit(url)
    return split.path, {name: values[-1] for name, values in parse_qs(split.query, keep_blank_values=True).items()}


def parse_request(method: str, url: str) -> ApiRequest:
    """Parses a request. Raises ApiError 404 for an unknown path, and 405 for a method that the path does not support."""
    path, query = parse_query(url)
    target = _parse_target([unquote(part) for part in path.strip("/").split("/")])
    verbs = _STATUS_VERBS if target.subresource else _OBJECT_VERBS if target.name else _COLLECTION_VERBS
    verb = verbs.get(method)
    if verb is None or (verb == "create" and target.resource.namespaced and not target.namespace):
        message = "the server does not allow this method on the requested resource"
        raise ApiError(405, "MethodNotAllowed", message)
    request = ApiRequest(verb=verb, target=target, query=query)
    return ApiRequest(verb="watch", target=target, query=query) if verb == "list" and request.flag("watch") else request


def _parse_target(parts: list[str]) -> Target:
    group, version, rest = _split_root(parts)
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and find_resource(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    resource = find_resource(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced) or "" in rest:
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    has_subresource = subresource == "status" and resource.status
    if (subresource and not has_subresource) or (name and resource.namespaced and not namespace):
        raise no_such_path()
    return Target(resource=resource, namespace=namespace, name=name, subresource=subresource)


def _split_root(parts: list[str]) -> tuple[str, str, list[str]]:
    if parts[0] == "api" and len(parts) > 2:
        return "", parts[1], parts[2:]
    if parts[0] == "apis" and len(parts) > 3:
        return parts[1], parts[2], parts[3:]
    raise no_such_path()
