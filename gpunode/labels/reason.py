"""A reason why a label is not published."""

from dataclasses import dataclass

RETAINED = "the label is unknown. The agent retains a label that is already published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one agent does not publish the label. why: a sentence. evidence: what was observed, one sentence each."""

    agent: str
    why: str
    evidence: tuple[str, ...] = ()
