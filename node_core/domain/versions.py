"""Which of two states of an object is the older one. PURE. Source: Kubernetes API concepts, resource versions."""

from typing import Protocol


class Versioned(Protocol):
    """look: by which look of its watch the state was found, counted up; the states that a watch brings belong to the look before them."""

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...

    @property
    def look(self) -> int: ...


def is_older(state: Versioned, other: Versioned) -> bool:
    """Whether the API server wrote `state` before `other`; resourceVersions of one kind compare as integers.

    A later look is always newer: a cluster that was restored from a backup counts on from an earlier version.
    """
    if state.look != other.look:
        return state.look < other.look
    versions = (state.resource_version, other.resource_version)
    return all(version.isdecimal() for version in versions) and int(versions[0]) < int(versions[1])
