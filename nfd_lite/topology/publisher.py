"""The destinations of the object: the API server, or standard output."""

import sys
from typing import Protocol, TextIO

from nfd_lite.topology.api import TopologyApi
from nfd_lite.topology.node_topology import NodeTopology, TopologyView, render_topology
from node_core.domain.node import NodeView
from node_core.domain.versions import is_older
from node_core.kube.client import NodeApi
from node_core.kubectl_yaml import dump_yaml
from node_core.publish.object_cache import ObjectCache
from node_core.values import replace


class Publisher(Protocol):
    """One destination. Used by one thread."""

    def observe_node(self, node: NodeView) -> None:
        """Accepts a state of the Node from the informer."""
        ...

    def observe(self, view: TopologyView | None) -> None:
        """Accepts a state of the object from the informer. None: the object does not exist."""
        ...

    def refresh(self) -> None:
        """Reads the Node and the object, for a process that does not watch. Raises KubeError."""
        ...

    def publish(self, desired: NodeTopology) -> bool | None:
        """Writes the object if it differs. Returns whether the object was written; None if the observed state is unknown.

        Raises KubeError.
        """
        ...


class ApiPublisher:
    """Writes the object to the API server, and compares with the observed object."""

    def __init__(self, node: NodeApi) -> None:
        self._node = node
        self._api = TopologyApi(node)
        self._object: ObjectCache[TopologyView] = ObjectCache()
        self._is_known = False
        self._needs_read = False
        self._node_uid = ""

    def observe_node(self, node: NodeView) -> None:
        self._node_uid = node.uid

    def observe(self, view: TopologyView | None) -> None:
        """After a write, None can be a state from before the write: the next `publish` reads the object."""
        self._is_known = True
        if view is not None:
            if not self._is_before_write(view):
                self._object.observe(view)
        elif self._object.view is not None:
            self._needs_read = True

    def refresh(self) -> None:
        self._node_uid = self._node.get().uid
        self._read()

    def publish(self, desired: NodeTopology) -> bool | None:
        if not self._is_known or not self._node_uid:
            return None
        if self._needs_read:
            self._read()
        if desired.is_applied_in(self._object.view, self._node_uid):
            return False
        if desired.must_take_fingerprint(self._object.view):
            self._apply(replace(desired, fingerprint=""))
        self._apply(desired)
        return True

    def _apply(self, desired: NodeTopology) -> None:
        body = render_topology(desired, node_name=self._api.node_name, node_uid=self._node_uid)
        self._object.set_from_response(self._api.apply(body))

    def _is_before_write(self, view: TopologyView) -> bool:
        """True if the view is older than a write that followed a list without the object: that write has no number of a list."""
        live = self._object.view
        return live is not None and live.list_number == 0 and is_older(replace(view, list_number=0), live)

    def _read(self) -> None:
        live = self._api.get()
        self._is_known, self._needs_read = True, False
        if live is None:
            self._object.clear()
        else:
            self._object.set_from_response(live)


class PrintingPublisher:
    """Prints the object as YAML when it changes. Sends no requests."""

    def __init__(self, node_name: str, out: TextIO | None = None) -> None:
        self._node_name = node_name
        self._out = out or sys.stdout
        self._last = ""

    def observe_node(self, node: NodeView) -> None:
        """Does nothing."""

    def observe(self, view: TopologyView | None) -> None:
        """Does nothing."""

    def refresh(self) -> None:
        """Does nothing."""

    def publish(self, desired: NodeTopology) -> bool:
        text = dump_yaml(render_topology(desired, node_name=self._node_name, node_uid=""))
        if text == self._last:
            return False
        self._out.write(f"---\n{text}")
        self._out.flush()
        self._last = text
        return True
