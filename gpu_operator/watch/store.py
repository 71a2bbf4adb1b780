"""The objects that kopf has reported. Used only in the loop of kopf.

kopf does not report that an object was deleted before kopf lists the objects of a kind, for example again after an outage. It does not
report the end of a list either. So the store is compared with a list of the uids of all objects: at the start, when kopf reports an
object of a list again, and periodically. (The indices of kopf have the same gap. To fill them takes time with the square of the number of
objects.)
"""

from collections.abc import Collection, Mapping

from gpu_operator.view import ClusterView, Obj
from gpu_operator.watch.kinds import KINDS, Kind

Uids = Mapping[str, str]
"""uid -> key of an object."""


class ObjectStore:
    """is_complete: the store contains exactly the objects of the cluster, as far as kopf has reported their changes."""

    def __init__(self) -> None:
        self.is_complete = False
        self._objects: dict[str, dict[str, Obj]] = {kind.field: {} for kind in KINDS}

    def observe(self, kind: Kind, event_type: str | None, key: str, body: Obj) -> bool:
        """Stores an object, or removes a deleted one. event_type: None for an object of a list.

        Returns False if kopf lists the objects of the kind again, so that the store may contain objects that do not exist.
        """
        objects = self._objects[kind.field]
        uid = body["metadata"]["uid"]
        is_known = key in objects and objects[key]["metadata"]["uid"] == uid
        if event_type == "DELETED":
            if is_known:
                del objects[key]
            return True
        objects[key] = kind.prune(body)
        return not (event_type is None and is_known)

    def uids(self, kind: Kind) -> dict[str, str]:
        """Returns uid -> key."""
        return {obj["metadata"]["uid"]: key for key, obj in self._objects[kind.field].items()}

    def compare(self, kind: Kind, before: Uids, listed: Collection[str]) -> int:
        """Removes the objects that do not exist any more. Returns how many of the listed objects kopf has not reported.

        before: `uids` before the list began. listed: the uids of all objects.
        """
        objects = self._objects[kind.field]
        for uid in before.keys() - set(listed):
            if (obj := objects.get(before[uid])) is not None and obj["metadata"]["uid"] == uid:
                del objects[before[uid]]
        return len(set(listed) - self.uids(kind).keys() - before.keys())

    def copy_view(self) -> ClusterView | None:
        """Returns the present state, or None while the store is not complete."""
        if not self.is_complete:
            return None
        return ClusterView(**{field: dict(objects) for field, objects in self._objects.items()})
