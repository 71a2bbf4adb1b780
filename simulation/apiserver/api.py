"""The verbs of the API on a store. Each write is decoded, defaulted, tracked in managedFields and validated here.

A deleted Pod disappears immediately. No kubelet has to stop containers first.
"""

from collections.abc import Callable
from typing import Any

from simulation.apiserver import apply
from simulation.apiserver.defaults import with_defaults, with_text_quantities
from simulation.apiserver.resources import RESOURCES
from simulation.apiserver.selectors import Selection
from simulation.apiserver.status import ApiError, Obj, bad_request, conflict
from simulation.apiserver.store import Store, timestamp
from simulation.apiserver.validation import check_body, check_object
from simulation.apiserver.writes import (
    NO_WRITER,
    PatchType,
    Target,
    Writer,
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
    """Each method raises ApiError for a request that it refuses. Then nothing is written."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, target: Target) -> Obj:
        return self.store.get(target.resource.name, target.name, target.namespace)

    def list(self, target: Target, selection: Selection) -> tuple[list[Obj], int]:
        """Returns the stored objects. Do not change them."""
        items, version = self.store.view(target.resource.name, target.namespace or None)
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
        """Reads, changes and writes an object atomically, as an Update of the writer's field manager.

        If the target has a subresource, only that part of the object changes.
        """

        def write(old: Obj) -> Obj:
            new = with_defaults(within(target, old, change(old)))
            return self._finish(
                target, old, apply.record_update(old, new, self._owner(target, writer), now=self._now())
            )

        return self._mutate(target, write, writer)

    def patch(self, target: Target, form: PatchType, body: Any, writer: Writer) -> tuple[Obj, bool]:
        """Returns the object and whether the patch has created the object. Only an apply can create one."""
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

    def delete(self, target: Target, options: Any = None, writer: Writer = NO_WRITER) -> Obj:
        """Deletes an object. options: DeleteOptions, of which only the preconditions have an effect."""
        preconditions = map_at(options, "preconditions")

        def check(obj: Obj) -> Obj:
            for field, value in preconditions.items():
                if value and obj["metadata"].get(field) != value:
                    why = f"Precondition failed: {field} in precondition: {value}, in object meta: {obj['metadata'].get(field)}"
                    raise conflict(target.resource.name, target.name, why)
            return obj

        manager = writer.manager or ""
        deleted = self.store.delete(
            target.resource.name, target.name, namespace=target.namespace, check=check, manager=manager
        )
        if target.resource.kind == "Namespace":
            self._empty_namespace(target.name, manager)
        return deleted

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
        return self.store.create(target.resource.name, new, manager=writer.manager or "")

    def _finish(self, target: Target, old: Obj, new: Obj) -> Obj:
        check_object(target.resource, new, old)
        if target.resource.generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return new

    def _mutate(self, target: Target, change: Callable[[Obj], Obj], writer: Writer) -> Obj:
        manager = writer.manager or ""
        return self.store.mutate(target.resource.name, target.name, change, namespace=target.namespace, manager=manager)

    def _owner(self, target: Target, writer: Writer, operation: str = "Update") -> apply.Manager:
        subresource = target.subresource if target.subresource == "status" else ""
        name = writer.manager or "unknown"
        version = target.resource.api_version
        return apply.Manager(operation=operation, name=name, api_version=version, subresource=subresource)

    def _require_namespace(self, target: Target) -> None:
        if target.resource.namespaced:
            self.store.get("namespaces", target.namespace)

    def _empty_namespace(self, namespace: str, manager: str) -> None:
        for resource in RESOURCES:
            items = self.store.list(resource.name, namespace)[0] if resource.namespaced else []
            for item in items:
                self.store.delete(resource.name, item["metadata"]["name"], namespace=namespace, manager=manager)

    def _now(self) -> str:
        return timestamp(self.store.clock())
