"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "problem", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """name: what was checked. sentence, todo: without a capital letter and a period. todo: what an administrator does, only for a problem.

    reason: the reason of the condition GPUReady that describes the result; None if no reason does. A note does not change the exit status.
    """

    name: str
    status: Status
    sentence: str
    todo: str | None = None
    reason: str | None = None


def ok(name: str, sentence: str, *, reason: str | None = None) -> Check:
    return Check(name=name, status="ok", sentence=sentence, reason=reason)


def note(name: str, sentence: str) -> Check:
    return Check(name=name, status="note", sentence=sentence)


def problem(name: str, sentence: str, todo: str, *, reason: str | None = None) -> Check:
    return Check(name=name, status="problem", sentence=sentence, todo=todo, reason=reason)
