"""The newest known state of an object that an informer watches and a Writer writes."""

from typing import Generic, TypeVar

from node_core.domain.versions import Versioned, is_older
from node_core.values import replace

View = TypeVar("View", bound=Versioned)


class ObjectCache(Generic[View]):
    """Contains the newest state of one object. view: None if the state is unknown or the object does not exist. Not thread-safe."""

    def __init__(self) -> None:
        self.view: View | None = None
        self._list_number = 0

    def observe(self, view: View) -> None:
        """Accepts a state from the informer. Ignores a state that is older than the last write."""
        if self.view is None or view.uid != self.view.uid or not is_older(view, self.view):
            self.view = view
            self._list_number = view.list_number

    def clear(self) -> None:
        self.view = None

    def set_from_response(self, view: View) -> View:
        """Stores the object in the response to a request, which is the newest state. Returns the stored state."""
        self.view = replace(view, list_number=self._list_number)
        return self.view
