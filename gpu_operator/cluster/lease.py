"""The Lease by which one of several controllers leads. PURE.

Source: Kubernetes API, coordination.k8s.io/v1 Lease; client-go, leaderelection.

A Lease expires when it has not changed for its duration on the clock of the observer. Wall clocks of machines are not compared.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from gpu_operator.view import Obj

DURATION = 30
"""Seconds after which another controller takes the Lease."""
RENEW_SECONDS = 4.0
"""Interval of the renewals of the leader, and of the checks of the others."""
LEAD_SECONDS = 10.0
"""A leader whose last renewal began longer ago writes nothing. With the longest request, less than DURATION: two controllers never write at
once."""


class Step(Enum):
    """What to do with the Lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A state of the Lease, and when it was seen first, in monotonic seconds. lease: None if it does not exist."""

    lease: Obj | None
    since: float

    @property
    def holder(self) -> str:
        spec = {} if self.lease is None else self.lease.get("spec") or {}
        return str(spec.get("holderIdentity") or "")


def observe(before: Observed | None, lease: Obj | None, now: float) -> Observed:
    """Returns the new observation. Its time is that of the previous one if the Lease has not changed."""
    if before is not None and _version(before.lease) == _version(lease):
        return Observed(lease=lease, since=before.since)
    return Observed(lease=lease, since=now)


def _version(lease: Obj | None) -> str | None:
    return None if lease is None else str(lease["metadata"].get("resourceVersion"))


def plan_step(observed: Observed, identity: str, now: float) -> Step:
    if observed.lease is None:
        return Step.CREATE
    if observed.holder == identity:
        return Step.RENEW
    if not observed.holder:
        return Step.TAKE
    duration = (observed.lease.get("spec") or {}).get("leaseDurationSeconds") or DURATION
    return Step.TAKE if now - observed.since > duration else Step.WAIT


def render_lease(
    name: str, namespace: str, identity: str, observed: Observed, *, now: str, is_released: bool = False
) -> dict[str, Any]:
    """Renders the Lease to create or to replace. now: RFC 3339 with microseconds. is_released: another controller may lead at once."""
    before = {} if observed.lease is None else dict(observed.lease.get("spec") or {})
    is_new = observed.holder != identity
    metadata = {"name": name, "namespace": namespace} if observed.lease is None else dict(observed.lease["metadata"])
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            **before,
            "holderIdentity": "" if is_released else identity,
            "leaseDurationSeconds": 1 if is_released else DURATION,
            "acquireTime": now if is_new else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if is_new and observed.lease else 0),
        },
    }
