"""The next steps of all upgrades. PURE: `apply` carries them out."""

from dataclasses import dataclass

from gpu_core.pods.eviction import DrainPod
from gpu_operator.upgrade.change import Patch
from gpu_operator.upgrade.keys import State


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStep:
    """The next step of one Node. patch: None without a change. state: the new state for the Event; None if the state does not change.

    reason: why the Node waits or fails. written_reason: the reason in the annotation. resource_version: of the observed Node.
    """

    node: str
    resource_version: str = ""
    patch: Patch | None = None
    state: State | None = None
    reason: str = ""
    written_reason: str = ""
    evict: tuple[DrainPod, ...] = ()
    delete: tuple[DrainPod, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.patch is None and not self.evict and not self.delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Node that may start. is_unavailable: the Node is unavailable already, so its start makes no other Node unavailable."""

    step: NodeStep
    is_unavailable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """The Nodes of one driver that may start, in order. parallel: how many may start; None for no limit. room: how many available Nodes.

    members: all Nodes of the driver. started: those whose upgrade was in progress or had failed when the view was made. unavailable: those
    that were unavailable.
    """

    candidates: tuple[Candidate, ...]
    parallel: int | None
    room: int
    members: frozenset[str]
    started: frozenset[str]
    unavailable: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """at: Unix seconds of the plan. after_s: seconds after which a new plan differs although no object has changed; None for never."""

    at: float
    nodes: tuple[NodeStep, ...] = ()
    starts: tuple[Starts, ...] = ()
    after_s: float | None = None
