"""Describes the pods that must not be evicted. PURE."""

from collections.abc import Iterable

from gpu_core.pods.eviction import DrainPod


def find_obstacles(pods: Iterable[DrainPod], *, force: bool, deletes_local_data: bool) -> tuple[str, ...]:
    """Describes the pods that must not be evicted, and the setting that allows it."""
    listed = tuple(pods)
    lonely = [pod.key for pod in listed if not (force or pod.is_managed)]
    local = [pod.key for pod in listed if not deletes_local_data and pod.has_local_data]
    return (
        *(
            [f"no controller replaces {', '.join(lonely)} (set DRAIN_USE_FORCE=true to evict such pods)"]
            if lonely
            else []
        ),
        *(
            [f"the emptyDir data of {', '.join(local)} would be lost (set DRAIN_DELETE_EMPTYDIR_DATA=true)"]
            if local
            else []
        ),
    )
