"""From a request to its answer: who asks, what for, in which form. The store is the only thing it touches."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from node_core.simulate.apiserver import discovery
from node_core.simulate.apiserver.api import Api
from node_core.simulate.apiserver.bodies import decode_body, patch_type
from node_core.simulate.apiserver.paging import cut_page
from node_core.simulate.apiserver.requests import ApiRequest, parse_query, parse_request
from node_core.simulate.apiserver.reviews import REVIEWS
from node_core.simulate.apiserver.selectors import Selection, parse_selection
from node_core.simulate.apiserver.status import ApiError, Obj, bad_request, expired, success
from node_core.simulate.apiserver.store import Store
from node_core.simulate.apiserver.tables import render_table
from node_core.simulate.apiserver.watching import Follower, Render, Stream, Watched
from node_core.simulate.apiserver.writes import PatchType, Target, Writer

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")


class Served(Protocol):
    """What an answer needs of the server; see server.ApiServer."""

    @property
    def api(self) -> Api: ...
    @property
    def store(self) -> Store: ...
    @property
    def watch_seconds(self) -> float: ...
    @property
    def bookmark_seconds(self) -> float: ...
    def user_of(self, token: str) -> str | None: ...
    def may_get_paths(self, user: str) -> bool: ...
    def count(self, verb: str, template: str) -> None: ...
    def take_failure(self) -> ApiError | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An HTTP request. headers: names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer: a body, or a stream of watch events."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    stream: Stream | None = None

    @classmethod
    def of(cls, status: int, obj: Obj) -> "Answer":
        return cls(status=status, body=json.dumps(obj, separators=(",", ":")).encode() + b"\n")


def answer(server: Served, asked: Asked, stopping: Callable[[], bool]) -> Answer:
    """Raises ApiError for whatever is refused."""
    path, query = parse_query(asked.url)
    if asked.method == "GET" and path.rstrip("/") in HEALTH_PATHS:
        return _health(path.rstrip("/"), verbose="verbose" in query)
    if asked.method == "GET" and path == "/version":
        return Answer.of(200, discovery.version())
    _authenticate(server, asked.headers)
    if asked.method == "GET" and (document := discovery.answer(path)) is not None:
        return Answer.of(200, document)
    if asked.method == "POST" and path in REVIEWS:
        return _review(server, path, asked)
    request = parse_request(asked.method, asked.url)
    server.count(request.verb, request.template)
    if (failure := server.take_failure()) is not None:
        raise failure
    _check_accept(asked.headers)
    if request.verb == "watch":
        return _watch(server, request, asked, stopping)
    return _VERBS[request.verb](server.api, request, asked)


def _review(server: Served, path: str, asked: Asked) -> Answer:
    server.count("create", path)
    if (failure := server.take_failure()) is not None:
        raise failure
    body = decode_body(asked.headers, asked.body)
    return Answer.of(201, REVIEWS[path](body, server.user_of, server.may_get_paths))


def _health(path: str, *, verbose: bool) -> Answer:
    body = f"[+]ping ok\n{path.strip('/')} check passed\n" if verbose else "ok"
    return Answer(status=200, body=body.encode(), content_type="text/plain; charset=utf-8")


def _authenticate(server: Served, headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    user = server.user_of(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        raise ApiError(401, "Unauthorized", "Unauthorized")
    return user


def _check_accept(headers: Mapping[str, str]) -> None:
    accepted = [part.split(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]
    if not any(part in ("application/json", "application/*", "*/*", "application/yaml", "") for part in accepted):
        message = "only the following media types are accepted: application/json"
        raise ApiError(406, "NotAcceptable", message)


def _get(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    obj = api.get(request.target)
    return Answer.of(200, _render(request, asked, api.store)(obj))


def _list(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    resource = request.target.resource
    found, version = api.list(request.target, _selection(request))
    token = request.query.get("continue", "")
    items, metadata = cut_page(found, version, limit=request.query.get("limit", ""), token=token)
    if token and int(metadata["resourceVersion"]) < api.store.oldest:
        raise expired(int(metadata["resourceVersion"]), api.store.oldest)
    if _wants_table(asked.headers):
        return Answer.of(200, _table(request, items, api.store, metadata))
    bare = [{name: value for name, value in item.items() if name not in ("apiVersion", "kind")} for item in items]
    listed = bare if not resource.custom else items
    return Answer.of(
        200, {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": listed}
    )


def _create(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    target, body = request.target, decode_body(asked.headers, asked.body)
    if target.subresource == "binding":
        return Answer.of(201, api.bind(target, body, _writer(request, asked)))
    if target.subresource == "eviction":
        api.delete(_main(target))
        return Answer.of(201, success({}))
    obj = api.create(target, body, _writer(request, asked))
    return Answer.of(201, _render(request, asked, api.store)(obj))


def _update(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    obj = api.replace(request.target, decode_body(asked.headers, asked.body), _writer(request, asked))
    return Answer.of(200, _render(request, asked, api.store)(obj))


def _patch(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    form = patch_type(asked.headers)
    if request.flag("force") and form is not PatchType.APPLY:
        raise bad_request("force: Forbidden: may not be specified for non-apply patch")
    obj, created = api.patch(
        request.target,
        form,
        decode_body(asked.headers, asked.body),
        _writer(request, asked, applies=form is PatchType.APPLY),
    )
    return Answer.of(201 if created else 200, _render(request, asked, api.store)(obj))


def _delete(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    options = decode_body(asked.headers, asked.body) if asked.body.strip() else {}
    target, dry_run = request.target, _dry_run(request, options)
    gone = api.delete(target, options, dry_run=dry_run)
    if gone["metadata"].get("finalizers") or target.resource.kind == "Pod":
        return Answer.of(200, gone)
    details = {"name": target.name, "kind": target.resource.plural, "uid": gone["metadata"]["uid"]}
    return Answer.of(200, success(details | ({"group": target.resource.group} if target.resource.group else {})))


def _delete_all(api: Api, request: ApiRequest, asked: Asked) -> Answer:
    options = decode_body(asked.headers, asked.body) if asked.body.strip() else {}
    items, version = api.list(request.target, _selection(request))
    resource = request.target.resource
    for item in items:
        metadata = item["metadata"]
        target = Target(resource=resource, namespace=metadata.get("namespace", ""), name=metadata["name"])
        api.delete(target, dry_run=_dry_run(request, options))
    metadata = {"resourceVersion": str(version)}
    return Answer.of(
        200, {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": items}
    )


_VERBS: dict[str, Callable[[Api, ApiRequest, Asked], Answer]] = {
    "get": _get,
    "list": _list,
    "create": _create,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "deletecollection": _delete_all,
}


def _watch(server: Served, request: ApiRequest, asked: Asked, stopping: Callable[[], bool]) -> Answer:
    target = request.target
    watched = Watched(resource=target.resource, namespace=target.namespace, selection=_selection(request))
    render, version = _render(request, asked, server.store), request.query.get("resourceVersion", "")
    if version and not version.isdecimal():
        raise bad_request(f"invalid resource version {version!r}")
    seconds = _seconds(request.query.get("timeoutSeconds"), server.watch_seconds)
    follow = Follower(server.store, watched, stopping, seconds=seconds, bookmark_seconds=server.bookmark_seconds)
    initial = request.flag("sendInitialEvents") or (version in ("", "0") and "sendInitialEvents" not in request.query)
    events = follow.run(
        version, initial=initial, bookmarks=request.flag("allowWatchBookmarks"), ends=request.flag("sendInitialEvents")
    )
    return Answer(status=200, stream=_rendered(events, render))


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


def _render(request: ApiRequest, asked: Asked, store: Store) -> Render:
    if not _wants_table(asked.headers):
        return lambda obj: obj
    return lambda obj: _table(request, [obj], store, {"resourceVersion": obj["metadata"].get("resourceVersion", "")})


def _table(request: ApiRequest, items: list[Obj], store: Store, metadata: Obj) -> Obj:
    include = request.query.get("includeObject") or "Metadata"
    if include not in ("Metadata", "Object", "None"):
        raise bad_request(f"unrecognized includeObject value {include!r}")
    shown = [item for item in items if "name" in item["metadata"]]  # a bookmark is a Table without rows
    return render_table(request.target.resource.kind, shown, now=store.clock(), metadata=metadata, include=include)


def _writer(request: ApiRequest, asked: Asked, *, applies: bool = False) -> Writer:
    agent = asked.headers.get("user-agent", "").split("/")[0].split(" ")[0][:128]
    manager = request.query.get("fieldManager") or (None if applies else agent or None)
    return Writer(manager=manager, force=request.flag("force"), dry_run=_dry_run(request, {}))


def _dry_run(request: ApiRequest, options: Any) -> bool:
    asked = request.query.get("dryRun") or (options.get("dryRun") if isinstance(options, dict) else None)
    if asked and asked not in ("All", ["All"]):
        raise bad_request(f'dryRun: Unsupported value: {asked!r}: supported values: "All"')
    return bool(asked)


def _main(target: Target) -> Target:
    return Target(resource=target.resource, namespace=target.namespace, name=target.name)
