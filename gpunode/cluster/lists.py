"""Lists objects of the cluster in pages, so that the first rows appear early and the memory is bounded.

Source: Kubernetes API concepts, retrieving large results sets in chunks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from urllib3.exceptions import HTTPError

from node_core.errors import KubeError
from node_core.kube.http import NO_API_SERVER, ApiClient, connection_error
from node_core.scheduling.objects import Node, Pod

Item = TypeVar("Item")

PAGE = 500
"""Objects in one page, as in kubectl."""
VIEWER_ROLE = "gpunode-viewer"
SELECTORS = "write for example team=research, team!=research, team, or 'team in (research,web)'"
UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
"""The field selector of Pods that have resources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """path: of the collection. name: the plural, for messages."""

    path: str
    name: str


NODES = Kind(path="/api/v1/nodes", name="nodes")
PODS = Kind(path="/api/v1/pods", name="pods")


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continuation: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class _Page(msgspec.Struct, Generic[Item]):
    items: tuple[Item, ...] | None = None
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)


def list_nodes(api: ApiClient, *, selector: str = "") -> Iterator[tuple[Node, ...]]:
    """Yields the Nodes in pages, ordered by name. selector: a label selector. Raises KubeError."""
    return list_pages(api, NODES, Node, _query(labelSelector=selector))


def list_pods(api: ApiClient, *, selector: str = "", fields: str = UNFINISHED) -> Iterator[tuple[Pod, ...]]:
    """Yields the Pods of all namespaces in pages, ordered by namespace and name. fields: a field selector. Raises KubeError."""
    return list_pages(api, PODS, Pod, _query(labelSelector=selector, fieldSelector=fields))


def list_pages(
    api: ApiClient, kind: Kind, item: type[Item], query: Mapping[str, str] | None = None
) -> Iterator[tuple[Item, ...]]:
    """Yields pages with at most PAGE objects. item: the type of the objects, a msgspec struct or Any. Raises KubeError."""
    parameters = {**(query or {}), "limit": str(PAGE)}
    decoder = msgspec.json.Decoder(_Page[item])  # type: ignore[valid-type]
    while True:
        page = _decode(decoder, kind, _read(api, kind, parameters))
        yield page.items or ()
        if not page.metadata.continuation:
            return
        parameters.pop("resourceVersion", None)  # the token contains the version
        parameters["continue"] = page.metadata.continuation


def count_objects(api: ApiClient, kind: Kind) -> int | None:
    """Returns about how many objects a collection has; None if the API server does not state the number. Raises KubeError."""
    page = _decode(msgspec.json.Decoder(_Page[Any]), kind, _read(api, kind, {"limit": "1"}))
    if not page.metadata.continuation:
        return len(page.items or ())
    remaining = page.metadata.remaining_item_count
    return None if remaining is None else remaining + len(page.items or ())


def get_object(api: ApiClient, path: str, item: type[Item], name: str) -> Item | None:
    """Returns one object, or None if the object does not exist. name: the kind, in the plural, for messages. Raises KubeError."""
    kind = Kind(path=path, name=name)
    try:
        return _decode(msgspec.json.Decoder(item), kind, _read(api, kind, {}, verb="get"))
    except KubeError as error:
        if error.status == 404:
            return None
        raise


def forbidden(verb: str, resource: str, message: str) -> KubeError:
    """Returns the error for a missing right. verb: list, get or watch."""
    hint = (
        f"ask an administrator for the ClusterRole {VIEWER_ROLE}, or check with: kubectl auth can-i {verb} {resource}"
    )
    return KubeError(f"you are not permitted to {verb} {resource}: {message}", status=403, hint=hint)


def _query(**parameters: str) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if value}


def _read(api: ApiClient, kind: Kind, query: Mapping[str, str], verb: str = "list") -> bytes:
    """Returns the content of the response."""
    try:
        response = api.open("GET", kind.path, query=query)
    except KubeError as error:
        raise explain(error, kind, verb, query) from error
    try:
        return response.data
    except (HTTPError, OSError) as error:
        raise connection_error("GET", kind.path, error) from error
    finally:
        response.release_conn()


def explain(error: KubeError, kind: Kind, verb: str, query: Mapping[str, str]) -> KubeError:
    """Returns the error of a request for people. verb: list, get or watch."""
    if error.status == 400 and (selector := query.get("labelSelector")):
        return KubeError(f"the label selector {selector!r} is not valid: {error.message}", status=400, hint=SELECTORS)
    if error.status == 403:
        return forbidden(verb, kind.name, error.message)
    if error.status == 410:
        return KubeError(f"the list of {kind.name} expired while it was read", status=410, hint="run the command again")
    return error


def _decode(decoder: msgspec.json.Decoder[Item], kind: Kind, content: bytes) -> Item:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise KubeError(f"the response for {kind.name} is not valid: {error}", hint=NO_API_SERVER) from error
