"""Identifies a ResourceClaim."""

import re
from dataclasses import dataclass

from node_core.errors import ClaimError

_UID = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
"""UIDs of Kubernetes are UUIDs. The UID is a part of file names and of CDI names, so nothing else is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRef:
    """The claim of a call of the kubelet. namespace, name: empty if unknown."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.name else self.uid


def is_uid(text: str) -> bool:
    return _UID.fullmatch(text) is not None


def check_ref(ref: ClaimRef) -> None:
    """Raises ClaimError if the UID cannot be one of Kubernetes."""
    if not is_uid(ref.uid):
        raise ClaimError(f"claim {ref}: {ref.uid[:80]!r} is not a UID")
