"""From an HTTP request to its response: authentication, the verb, the response format. The store is the only state."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulation.apiserver import discovery
from simulation.apiserver.api import Api
from simulation.apiserver.paging import cut_page
from simulation.apiserver.request_body import decode_body, patch_type
from simulation.apiserver.requests import ApiRequest, parse_query, parse_request
from simulation.apiserver.reviews import REVIEWS
from simulation.apiserver.selectors import Selection, parse_selection
from simulation.apiserver.status import ApiError, Obj, bad_request, expired, success
from simulation.apiserver.store import Store
from simulation.apiserver.tables import render_table
from simulation.apiserver.watch import Render, Stream, Watch, WatchScope
from simulation.apiserver.writes import PatchType, Writer

if TYPE_CHECKING:
    from simulation.apiserver.server import ApiServer

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """headers: the names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A response with a body, or with a stream of watch events."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    stream: Stream | None = None

    @classmethod
    def from_object(cls, status: int, obj: Obj) -> "HttpResponse":
        return cls(status=status, body=json.dumps(obj, separators=(",", ":")).encode() + b"\n")


def handle(server: "ApiServer", http_request: HttpRequest, stopping: Callable[[], bool]) -> HttpResponse:
    """Returns the response. Raises ApiError for a request that the API refuses. stopping: ends watches."""
    path, query = parse_query(http_request.url)
    if http_request.method == "GET" and path.rstrip("/") in HEALTH_PATHS:
        return _health(path.rstrip("/"), verbose="verbose" in query)
    if http_request.method == "GET" and path == "/version":
        return HttpResponse.from_object(200, discovery.version())
    _authenticate(server, http_request.headers)
    if http_request.method == "GET" and (document := discovery.documents().get(path.rstrip("/"))) is not None:
        return HttpResponse.from_object(200, document)
    if http_request.method == "POST" and path in REVIEWS:
        server.start_request("create", path)
        body = decode_body(http_request.headers, http_request.body)
        return HttpResponse.from_object(201, REVIEWS[path](body, server.user_of, server.may_get_paths))
    request = parse_request(http_request.method, http_request.url)
    server.start_request(request.verb, request.template)
    _check_accept(http_request.headers)
    if request.query.get("dryRun"):
        raise bad_request("dryRun is not supported by this simulated API server")
    if request.verb == "watch":
        return _watch(server, request, http_request, stopping)
    return _VERBS[request.verb](server.api, request, http_request)


def _health(path: str, *, verbose: bool) -> HttpResponse:
    body = f"[+]ping ok\n{path.strip('/')} check passed\n" if verbose else "ok"
    return HttpResponse(status=200, body=body.encode(), content_type="text/plain; charset=utf-8")


def _authenticate(server: "ApiServer", headers: Mapping[str, str]) -> None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or server.user_of(token.strip()) is None:
        raise ApiError(401, "Unauthorized", "Unauthorized")


def _check_accept(headers: Mapping[str, str]) -> None:
    accepted = [part.split(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]
    if not any(part in ("application/json", "application/*", "*/*", "application/yaml", "") for part in accepted):
        message = "only the following media types are accepted: application/json"
        raise ApiError(406, "NotAcceptable", message)


def _get(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    return _object(api, request, http_request, api.get(request.target))


def _object(api: Api, request: ApiRequest, http_request: HttpRequest, obj: Obj, status: int = 200) -> HttpResponse:
    return HttpResponse.from_object(status, _render(request, http_request, api.store)(obj))


def _list(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    resource = request.target.resource
    selected, version = api.list(request.target, _selection(request))
    token = request.query.get("continue", "")
    items, metadata = cut_page(selected, version, limit=request.query.get("limit", ""), token=token)
    if token and int(metadata["resourceVersion"]) < api.store.oldest:
        raise expired(int(metadata["resourceVersion"]), api.store.oldest)
    if _wants_table(http_request.headers):
        return HttpResponse.from_object(200, _table(request, items, api.store, metadata))
    if not resource.custom:  # kube-apiserver omits both fields in lists of its own resources
        items = [{name: value for name, value in item.items() if name not in ("apiVersion", "kind")} for item in items]
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
    return HttpResponse.from_object(200, {**head, "items": items})


def _create(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    body = decode_body(http_request.headers, http_request.body)
    obj = api.create(request.target, body, _writer(request, http_request))
    return _object(api, request, http_request, obj, 201)


def _update(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    body = decode_body(http_request.headers, http_request.body)
    return _object(api, request, http_request, api.replace(request.target, body, _writer(request, http_request)))


def _patch(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    form = patch_type(http_request.headers)
    if request.flag("force") and form is not PatchType.APPLY:
        raise bad_request("force: Forbidden: may not be specified for non-apply patch")
    body = decode_body(http_request.headers, http_request.body)
    writer = _writer(request, http_request, is_apply=form is PatchType.APPLY)
    obj, created = api.patch(request.target, form, body, writer)
    return _object(api, request, http_request, obj, 201 if created else 200)


def _delete(api: Api, request: ApiRequest, http_request: HttpRequest) -> HttpResponse:
    options = decode_body(http_request.headers, http_request.body) if http_request.body.strip() else {}
    deleted = api.delete(request.target, options, _writer(request, http_request))
    resource = request.target.resource
    if resource.kind == "Pod":
        return HttpResponse.from_object(200, deleted)
    details = {"name": request.target.name, "kind": resource.plural, "uid": deleted["metadata"]["uid"]}
    return HttpResponse.from_object(200, success(details | ({"group": resource.group} if resource.group else {})))


_VERBS: dict[str, Callable[[Api, ApiRequest, HttpRequest], HttpResponse]] = {
    "get": _get,
    "list": _list,
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
}


def _watch(
    server: "ApiServer", request: ApiRequest, http_request: HttpRequest, stopping: Callable[[], bool]
) -> HttpResponse:
    target = request.target
    scope = WatchScope(resource=target.resource, namespace=target.namespace, selection=_selection(request))
    render, version = _render(request, http_request, server.store), request.query.get("resourceVersion", "")
    if version and not version.isdecimal():
        raise bad_request(f"invalid resource version {version!r}")
    seconds = _seconds(request.query.get("timeoutSeconds"), server.watch_seconds)
    watch = Watch(server.store, scope, stopping, seconds=seconds, bookmark_seconds=server.bookmark_seconds)
    streams_list = request.flag("sendInitialEvents")
    starts_with_list = streams_list or (version in ("", "0") and "sendInitialEvents" not in request.query)
    bookmarks = request.flag("allowWatchBookmarks")
    events = watch.run(version, initial_events=starts_with_list, bookmarks=bookmarks, mark_initial_end=streams_list)
    return HttpResponse(status=200, stream=_rendered(events, render))


def _rendered(events: Stream, render: Render) -> Stream:
    for event in events:
        if event is None or event[0] == "ERROR":
            yield event
        else:
            yield event[0], render(event[1])


def _seconds(text: str | None, default: float) -> float:
    if not text:
        return default
    if not text.isdecimal():
        raise bad_request(f"invalid timeoutSeconds {text!r}")
    return float(text) or default


def _selection(request: ApiRequest) -> Selection:
    kind, query = request.target.resource.kind, request.query
    name = f"metadata.name={request.target.name}" if request.target.name else ""
    fields = ",".join(filter(None, [name, query.get("fieldSelector", "")]))
    return parse_selection(kind, labels=query.get("labelSelector", ""), fields=fields)


def _wants_table(headers: Mapping[str, str]) -> bool:
    first = headers.get("accept", "").split(",")[0].replace(" ", "")
    return "as=Table" in first and "v=v1;" in f"{first};"


def _render(request: ApiRequest, http_request: HttpRequest, store: Store) -> Render:
    if not _wants_table(http_request.headers):
        return lambda obj: obj
    return lambda obj: _table(request, [obj], store, {"resourceVersion": obj["metadata"].get("resourceVersion", "")})


def _table(request: ApiRequest, items: list[Obj], store: Store, metadata: Obj) -> Obj:
    include = request.query.get("includeObject") or "Metadata"
    if include not in ("Metadata", "Object"):
        raise bad_request(f"includeObject: {include!r} is not supported. Use Metadata or Object.")
    named = [item for item in items if "name" in item["metadata"]]  # the Table of a bookmark has no rows
    return render_table(request.target.resource.kind, named, now=store.clock(), metadata=metadata, include=include)


def _writer(request: ApiRequest, http_request: HttpRequest, *, is_apply: bool = False) -> Writer:
    agent = http_request.headers.get("user-agent", "").split("/")[0].split(" ")[0][:128]
    manager = request.query.get("fieldManager") or (None if is_apply else agent or None)
    return Writer(manager=manager, force=request.flag("force"))
