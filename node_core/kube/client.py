"""Requests about one Node, through the official client's ApiClient (configuration, TLS, token refresh, retries).

Paths and JSON are written out because the client's typed API costs another 22 MB and half a second in each agent on each node.
Source: Kubernetes API concepts, server-side apply.
"""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import urllib3.exceptions
from kubernetes.client import ApiClient, ApiException

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView, parse_node, render_capacity_patch, render_metadata_patch
from node_core.domain.outputs import ResourcePlan, render_clearing
from node_core.domain.taints import TaintPlan, render_taint_patch
from node_core.errors import KubeError
from node_core.kube.connect import connect

View = TypeVar("View")

TIMEOUT = (5.0, 15.0)
"""Seconds to connect and to read an answer."""
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"

_HINTS = {
    401: "the token or certificate was refused: check the kubeconfig or the service account",
    403: "the credentials may not do this: check the roles and admission policies in manifests/",
    404: "no such Node: check --node-name or NODE_NAME against `kubectl get nodes`",
}


class NodeApi:
    """Reads and writes one Node. Connects on first use and again after a failure to configure, so a kubeconfig may appear later."""

    def __init__(self, node_name: str, *, kubeconfig: str | None, user_agent: str) -> None:
        self.node_name = node_name
        self._kubeconfig = kubeconfig
        self._user_agent = user_agent
        self._api: ApiClient | None = None
        self._connecting = threading.Lock()

    def get(self) -> NodeView:
        return understand(parse_node, self.request("GET", self._path))

    def apply_labels(
        self, manager: str, labels: Labels, *, annotations: Mapping[str, str] | None = None, force: bool
    ) -> NodeView:
        """Server-side apply: these become all the labels and annotations that `manager` owns. Without force a conflict is KubeError 409."""
        return self._apply(self._path, manager, render_metadata_patch(self.node_name, labels, annotations or {}), force)

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView:
        """Server-side apply: the planned resources become all of status.capacity that `manager` owns.

        KubeError 409 for a conflict, and when what is to be cleared is not there any more as it was.
        """
        path = f"{self._path}/status"
        if plan.cleared:
            self._clear_capacity(path, manager, plan)
        return self._apply(path, manager, render_capacity_patch(self.node_name, plan.resources), force=False)

    def _clear_capacity(self, path: str, manager: str, plan: ResourcePlan) -> None:
        try:
            query = {"fieldManager": manager}
            self.request("PATCH", path, query=query, body=render_clearing(plan.cleared), content=JSON_PATCH)
        except KubeError as error:
            status = 409 if error.status == 422 else error.status
            raise KubeError(f"the capacity was not cleared: {error.message}", status=status, hint=error.hint) from error

    def _apply(self, path: str, manager: str, patch: Mapping[str, Any], force: bool) -> NodeView:
        query = {"fieldManager": manager, "force": str(force).lower()}
        answer = self.request("PATCH", path, query=query, body=patch, content=APPLY)
        return understand(parse_node, answer)

    def set_taints(self, manager: str, plan: TaintPlan, seen: NodeView, *, claim: str) -> NodeView:
        """Writes the planned taints, and in the annotation `claim` which of them are ours, as one step.

        KubeError 409 when the Node is not as `seen` any more.
        """
        patch = render_taint_patch(
            plan,
            claim=claim,
            version=seen.resource_version,
            tainted=bool(seen.taints),
            annotations=seen.annotations,
        )
        query = {"fieldManager": manager}
        try:
            node = self.request("PATCH", self._path, query=query, body=patch, content=JSON_PATCH)
        except KubeError as error:
            if error.status == 422 and self.get().resource_version != seen.resource_version:
                raise KubeError(f"the taints were not written: {error.message}", status=409) from error
            raise
        return understand(parse_node, node)

    def open_watch(self, **query: Any) -> Any:
        """The answer to a list or watch of just this Node, unread. Call it through kubernetes.watch.Watch."""
        return self.open_watch_of("/api/v1/nodes", only(self.node_name), **query)

    def open_watch_of(self, collection: str, selector: Mapping[str, str], **query: Any) -> Any:
        """The same of the collection at this path. selector: the query that narrows it."""
        query.pop("_preload_content", None)
        names = {"resource_version": "resourceVersion", "timeout_seconds": "timeoutSeconds"}
        asked = {names.get(key, key): str(value).lower() for key, value in query.items()}
        asked |= {**selector, "allowWatchBookmarks": "true"}
        silence = float(query.get("timeout_seconds") or 0) + TIMEOUT[1]
        return self.open("GET", collection, query=asked, timeout=(TIMEOUT[0], silence))

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{quote(self.node_name, safe='')}"

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        """The JSON that a request is answered with. query, body, content: as of the request. Raises KubeError."""
        response = self.open(verb, path, timeout=TIMEOUT, **request)
        try:
            answer: Mapping[str, Any] = json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise KubeError(f"{verb} {path}: the answer is not JSON; is this a Kubernetes API server?") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(verb, path, error) from error
        finally:
            response.release_conn()
        return answer

    def open(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str | None = None,
        timeout: Any,
    ) -> Any:
        """An answer, unread. Raises KubeError."""
        api = self._connected()
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if content else {})
        request = api.param_serialize(
            verb,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = api.call_api(*request, _request_timeout=timeout).response
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(verb, path, error) from error
        except ValueError:  # it says the token: neither its text nor itself goes on from here
            raise KubeError(f"{verb} {path}: was not sent: the credentials are not what a header can hold") from None
        if response.status == 401:
            self._api = None  # the credentials may have been renewed on disk
        if response.status >= 400:
            raise _refusal(verb, path, response)
        return response

    def _connected(self) -> ApiClient:
        with self._connecting:  # the watch and the agents ask from threads of their own
            if self._api is None:
                self._api = connect(self._kubeconfig, user_agent=self._user_agent)
            return self._api


def understand(parse: Callable[[Mapping[str, Any]], View], answer: Mapping[str, Any]) -> View:
    """What `parse` makes of an answer. Raises KubeError when it is not of the form that Kubernetes documents."""
    try:
        return parse(answer)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise KubeError(f"the API server's answer cannot be understood: {type(error).__name__}: {error}") from error


def only(name: str) -> dict[str, str]:
    """The query that narrows a list or watch to one object."""
    return {"fieldSelector": f"metadata.name={name}"}


def no_answer(verb: str, path: str, error: Exception) -> KubeError:
    """The connection failed: reason without the client's nested class names."""
    reason = getattr(error, "reason", None) or error
    return KubeError(f"{verb} {path}: the API server does not answer: {reason}")


def _refusal(verb: str, path: str, response: Any) -> KubeError:
    try:
        detail = json.loads(response.data).get("message", "")
    except (ValueError, AttributeError, urllib3.exceptions.HTTPError, OSError):
        detail = response.reason or ""
    response.release_conn()
    message = f"{verb} {path}: HTTP {response.status}: {detail}".rstrip(": ")
    of_node = response.status != 404 or path.startswith("/api/v1/nodes/")
    return KubeError(message, status=response.status, hint=_HINTS.get(response.status) if of_node else None)
