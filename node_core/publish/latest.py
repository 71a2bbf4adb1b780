"""The latest state that is known of an object which a watch follows and which we write as well."""

from dataclasses import replace
from typing import Generic, TypeVar

from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView

View = TypeVar("View", NodeView, NodeFeatureView)


class Latest(Generic[View]):
    """view: None while nothing is known, and when there is no object. Used by one thread."""

    def __init__(self) -> None:
        self.view: View | None = None
        self._look = 0

    def observe(self, view: View) -> None:
        """A state that the watch saw. It may lag behind our own last write: then it is passed over."""
        if self.view is None or view.uid != self.view.uid or not view.is_older_than(self.view):
            self.view = view
            self._look = view.look

    def gone(self) -> None:
        """The object is not there any more."""
        self.view = None

    def answered(self, view: View) -> View:
        """What a request of our own was answered with, which is the state now."""
        self.view = replace(view, look=self._look)
        return self.view
