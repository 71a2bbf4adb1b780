"""The verbs of the API on a store: every write is decoded, defaulted, owned and checked here, whoever sends it.

Deleting a Pod is at once: this stand-in has no kubelet that would end its containers and confirm.
"""

from collections.abc import Callable
from typing import Any

from node_core.simulate.apiserver import apply
from node_core.simulate.apiserver.defaults import with_defaults, with_text_quantities
from node_core.simulate.apiserver.resources import RESOURCES
from node_core.simulate.apiserver.selectors import Selection
from node_core.simulate.apiserver.status import ApiError, Cause, Obj, bad_request, conflict, invalid, success
from node_core.simulate.apiserver.store import Store, timestamp
from node_core.simulate.apiserver.validation import check_body, check_object
from node_core.simulate.apiserver.writes import (
    PatchType,
    Target,
    Writer,
    bound_to,
    check_apply,
    check_decodes,
    map_at,
    own_part,
    patched,
    unsupported_media_type,
    with_name,
    within,
    without_pod_status,
)


class Api:
    """Every method raises ApiError; then nothing was written."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, target: Target) -> Obj:
        return self.store.get(target.resource.name, target.name, target.namespace)

    def list(self, target: Target, selection: Selection) -> tuple[list[Obj], int]:
        items, version = self.store.list(target.resource.name, target.namespace or None)
        return [item for item in items if selection.matches(item)], version

    def create(self, target: Target, body: Any, writer: Writer) -> Obj:
        resource = target.resource
        check_body(resource, body, name=None, namespace=target.namespace)
        self._require_namespace(target)
        check_decodes(resource, body)
        new = with_name(body, target)
        if new["metadata"].get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        new = with_defaults(without_pod_status(resource, new))
        blank = {"apiVersion": resource.api_version, "kind": resource.kind}
        new = apply.record_update(blank, new, self._owner(target, writer), now=self._now())
        return self._create(target, new, writer)

    def replace(self, target: Target, body: Any, writer: Writer) -> Obj:
        check_body(target.resource, body, name=target.name, namespace=target.namespace)
        check_decodes(target.resource, body)
        return self.update(target, lambda _: body, writer)

    def update(self, target: Target, change: Callable[[Obj], Obj], writer: Writer) -> Obj:
        """Read, change and write as one step, as an Update of the writer's manager. A target's subresource limits it to that part."""

        def write(old: Obj) -> Obj:
            new = with_defaults(within(target, old, change(old)))
            return self._finish(
                target, old, apply.record_update(old, new, self._owner(target, writer), now=self._now())
            )

        return self._mutate(target, write, writer)

    def patch(self, target: Target, form: PatchType, body: Any, writer: Writer) -> tuple[Obj, bool]:
        """The object, and whether this created it, which only an apply does."""
        if form is PatchType.APPLY:
            return self._apply(target, body, writer)
        if form is PatchType.STRATEGIC and target.resource.custom:
            raise unsupported_media_type([PatchType.JSON, PatchType.MERGE, PatchType.APPLY])

        def change(old: Obj) -> Obj:
            new = patched(old, form, body)
            check_body(target.resource, new, name=target.name, namespace=target.namespace)
            check_decodes(target.resource, new, patch=True)
            return new

        return self.update(target, change, writer), False

    def delete(self, target: Target, options: Any = None, *, dry_run: bool = False) -> Obj:
        """options: the request's DeleteOptions; only its preconditions count."""
        wanted = map_at(options, "preconditions")

        def check(obj: Obj) -> Obj:
            for field, value in wanted.items():
                if value and obj["metadata"].get(field) != value:
                    why = f"Precondition failed: {field} in precondition: {value}, in object meta: {obj['metadata'].get(field)}"
                    raise conflict(target.resource.name, target.name, why)
            return obj

        gone = self.store.delete(
            target.resource.name, target.name, namespace=target.namespace, check=check, dry_run=dry_run
        )
        if target.resource.kind == "Namespace" and not dry_run:
            self._empty_namespace(target.name)
        return gone

    def bind(self, target: Target, body: Any, writer: Writer) -> Obj:
        """The pods/binding subresource: puts a Pod on a Node, once. Answers a Status."""
        node = map_at(body, "target").get("name")
        if not isinstance(node, str) or not node:
            causes = [Cause(reason="FieldValueRequired", message="Required value", field="target.name")]
            raise invalid("Binding", target.name, causes)
        self.update(target, lambda pod: bound_to(pod, node), writer)
        return success({"name": target.name, "kind": "pods"})

    def _apply(self, target: Target, body: Any, writer: Writer) -> tuple[Obj, bool]:
        resource = target.resource
        check_body(resource, body, name=target.name, namespace=target.namespace)
        check_apply(resource, body, writer)
        check_decodes(resource, body, patch=True)
        owner = self._owner(target, writer, "Apply")
        config = own_part(target, with_text_quantities(with_name(body, target)))

        def write(old: Obj) -> Obj:
            merged = apply.apply_config(old, config, owner, force=writer.force, now=self._now())
            return self._finish(target, old, with_defaults(within(target, old, merged)))

        try:
            return self._mutate(target, write, writer), False
        except ApiError as error:
            if error.status != 404 or target.subresource:
                raise
        self._require_namespace(target)
        blank = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
        new = apply.apply_config(blank, config, owner, force=True, now=self._now())
        return self._create(target, with_defaults(without_pod_status(resource, new)), writer), True

    def _create(self, target: Target, new: Obj, writer: Writer) -> Obj:
        check_object(target.resource, new, None)
        if target.resource.generation:
            new["metadata"]["generation"] = 1
        return self.store.create(target.resource.name, new, dry_run=writer.dry_run)

    def _finish(self, target: Target, old: Obj, new: Obj) -> Obj:
        check_object(target.resource, new, old)
        if target.resource.generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return new

    def _mutate(self, target: Target, change: Callable[[Obj], Obj], writer: Writer) -> Obj:
        return self.store.mutate(
            target.resource.name, target.name, change, namespace=target.namespace, dry_run=writer.dry_run
        )

    def _owner(self, target: Target, writer: Writer, operation: str = "Update") -> apply.Manager:
        subresource = target.subresource if target.subresource == "status" else ""
        name = writer.manager or "unknown"
        version = target.resource.api_version
        return apply.Manager(operation=operation, name=name, api_version=version, subresource=subresource)

    def _require_namespace(self, target: Target) -> None:
        if target.resource.namespaced:
            self.store.get("namespaces", target.namespace)

    def _empty_namespace(self, namespace: str) -> None:
        for resource in RESOURCES:
            items = self.store.list(resource.name, namespace)[0] if resource.namespaced else []
            for item in items:
                self.store.delete(resource.name, item["metadata"]["name"], namespace=namespace)

    def _now(self) -> str:
        return timestamp(self.store.clock())
