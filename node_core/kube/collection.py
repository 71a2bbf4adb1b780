"""All objects of a kind that a selector finds, for watch.ObjectWatch to follow. Source: Kubernetes API concepts, retrieving large sets."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from node_core.domain.node_feature import API_VERSION, NODE_NAME_LABEL
from node_core.errors import KubeError
from node_core.kube.client import NodeApi, only, understand

PAGE = 200
"""How many objects are asked for at once."""
MOST = 5000
"""Nobody has so many rules, or so many descriptions of one node; they would not fit into an agent's memory."""

Obj = Mapping[str, Any]
Objects = Mapping[str, Obj]
"""`name`, or `namespace/name`, -> the object as JSON gives it, without its managedFields."""


class Collection:
    """shown: what these objects are, for messages. path: of the collection. selector: the query that narrows it."""

    def __init__(self, api: NodeApi, *, shown: str, path: str, selector: Mapping[str, str] | None = None) -> None:
        self.shown = shown
        self.path = path
        self._api = api
        self._selector = dict(selector or {})
        self._objects: Objects = {}

    def look(self) -> tuple[Objects, str]:
        """All objects, page by page, and the version from which to watch. Raises KubeError; with 404 where their kind is not known."""
        objects: dict[str, Obj] = {}
        version = ""
        for page in self._pages():
            objects |= understand(_objects, page)
            version = understand(_version, page)
            if len(objects) > MOST:
                raise KubeError(f"there are more than {MOST} {self.shown}", hint="delete those that are not needed")
        self._objects = objects
        return objects, version

    def open_watch(self, **query: Any) -> Any:
        return self._api.open_watch_of(self.path, self._selector, **query)

    def state(self, event: str, obj: Obj) -> Objects:
        others = {key: each for key, each in self._objects.items() if key != key_of(obj)}
        self._objects = others if event == "DELETED" else {**others, key_of(obj): _lean(obj)}
        return self._objects

    def _pages(self) -> Iterator[Obj]:
        query = {**self._selector, "limit": str(PAGE)}
        following = "first"
        while following:
            page = self._page(query)
            yield page
            following = understand(_following, page)
            query["continue"] = following

    def _page(self, query: Mapping[str, str]) -> Obj:
        try:
            return self._api.request("GET", self.path, query=query)
        except KubeError as error:
            if error.status != 404:
                raise
            hint = "to use them, apply manifests/crds" if self.path.startswith(f"/apis/{API_VERSION}/") else None
            raise KubeError(f"the cluster does not know {self.shown}", status=404, hint=hint) from error


def node_feature_rules(api: NodeApi) -> Collection:
    """All NodeFeatureRules, by name."""
    return Collection(api, shown="NodeFeatureRules", path=f"/apis/{API_VERSION}/nodefeaturerules")


def node_features_of(api: NodeApi) -> Collection:
    """What anybody says of our Node in NodeFeature objects of any namespace, by `namespace/name`."""
    selector = {"labelSelector": f"{NODE_NAME_LABEL}={api.node_name}"}
    shown = f"NodeFeatures of the Node {api.node_name}"
    return Collection(api, shown=shown, path=f"/apis/{API_VERSION}/nodefeatures", selector=selector)


def config_map(api: NodeApi, namespace: str, name: str) -> Collection:
    """One ConfigMap, by `namespace/name`, or none."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps"
    return Collection(api, shown=f"the ConfigMap {namespace}/{name}", path=path, selector=only(name))


def key_of(obj: Obj) -> str:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _lean(obj: Obj) -> Obj:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _objects(page: Obj) -> dict[str, Obj]:
    return {key_of(item): _lean(item) for item in page.get("items") or ()}


def _version(page: Obj) -> str:
    return str(page["metadata"]["resourceVersion"])


def _following(page: Obj) -> str:
    return str(page["metadata"].get("continue") or "")
