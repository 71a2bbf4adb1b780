"""What the Node shows about its MIG config: the label of the state, the condition MIGConfigured, and Events. PURE.

Source of the label and its values: NVIDIA's documentation of the MIG Manager.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from mig_manager.outcome import Reason
from node_core.domain.conditions import MIG_CONFIGURED, Condition
from node_core.domain.labels import MIG_CONFIG_STATE
from node_core.domain.node import NodeView


class State(StrEnum):
    """The values of the label."""

    PENDING = "pending"
    REBOOTING = "rebooting"
    SUCCESS = "success"
    FAILED = "failed"


STATES = {
    Reason.APPLIED: State.SUCCESS,
    Reason.APPLYING: State.PENDING,
    Reason.WAITING: State.PENDING,
    Reason.IN_USE: State.FAILED,
    Reason.INVALID: State.FAILED,
    Reason.FAILED: State.FAILED,
    Reason.HANGS: State.FAILED,
    Reason.REBOOTING: State.REBOOTING,
    Reason.NOT_REQUESTED: None,
}
"""Reason -> the value of the label; None for no label."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the config with this name. message: a sentence."""

    config: str
    reason: Reason
    message: str

    @property
    def state(self) -> State | None:
        return STATES[self.reason]

    @property
    def condition(self) -> Condition:
        is_true = self.reason in (Reason.APPLIED, Reason.NOT_REQUESTED)
        return Condition(type=MIG_CONFIGURED, is_true=is_true, reason=str(self.reason), message=self.message)

    @property
    def is_failed(self) -> bool:
        return self.state is State.FAILED


NOT_REQUESTED = Status(
    config="",
    reason=Reason.NOT_REQUESTED,
    message="The Node has no label nvidia.com/mig.config, so the MIG layouts stay as they are.",
)


class StateWrite(msgspec.Struct, frozen=True, kw_only=True):
    """Writes the label, or removes the label of this agent. uid: the UID of the Node."""

    uid: str
    labels: dict[str, str]


class ConditionWrite(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    condition: Condition


NodeWrite = StateWrite | ConditionWrite


def plan_writes(status: Status, observed: NodeView, manager: str) -> Iterator[NodeWrite]:
    """Yields the writes that the observed Node needs. The condition precedes the label, for whose change others wait.

    A Node that never had a config gets neither label nor condition.
    """
    current = observed.conditions.get(MIG_CONFIGURED)
    is_unused = current is None and status.state is None
    if not is_unused and (current is None or not current.equals(status.condition)):
        yield ConditionWrite(uid=observed.uid, condition=status.condition)
    labels = {} if status.state is None else {MIG_CONFIG_STATE: str(status.state)}
    owned = observed.labels_by(manager)
    if owned != labels:
        yield StateWrite(uid=observed.uid, labels=labels)
