"""The order of two states of an object. PURE. Source: Kubernetes API concepts, resource versions."""

from typing import Any, ClassVar, Protocol


class Versioned(Protocol):
    """A value for `replace`. list_number: the lists of the informer so far. A state from a watch has the number of the preceding list."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...

    @property
    def list_number(self) -> int: ...


def is_older(state: Versioned, other: Versioned) -> bool:
    """True if the API server wrote `state` before `other`. Compares resourceVersions as integers.

    The state of a later list is always newer, because a cluster that is restored from a backup continues with lower resourceVersions.
    """
    if state.list_number != other.list_number:
        return state.list_number < other.list_number
    versions = (state.resource_version, other.resource_version)
    return all(version.isdecimal() for version in versions) and int(versions[0]) < int(versions[1])
