"""The result of one check. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Name(StrEnum):
    """The checks, in their order: each one needs those before."""

    DRIVER = "driver"
    DEVICE_NODES = "device-nodes"
    CDI = "cdi"
    CUDA = "cuda"
    KUBELET = "kubelet"
    SLICES = "resource-slices"
    CONTAINER = "container"


class Verdict(StrEnum):
    """NOT_APPLICABLE: this node has nothing to check, or nothing can be checked at present. SKIPPED: an earlier check failed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """sentence, remedy: without a capital letter and a period. remedy: what an administrator does, only of a check that failed."""

    name: Name
    verdict: Verdict
    sentence: str
    remedy: str | None = None

    @property
    def text(self) -> str:
        """The sentence and the remedy, as sentences."""
        return " ".join(f"{part[:1].upper()}{part[1:]}." for part in (self.sentence, self.remedy) if part)


def passed(name: Name, sentence: str) -> Check:
    return Check(name=name, verdict=Verdict.PASSED, sentence=sentence)


def failed(name: Name, sentence: str, remedy: str) -> Check:
    return Check(name=name, verdict=Verdict.FAILED, sentence=sentence, remedy=remedy)


def not_applicable(name: Name, sentence: str) -> Check:
    return Check(name=name, verdict=Verdict.NOT_APPLICABLE, sentence=sentence)


def skipped(name: Name, because: Name) -> Check:
    return Check(name=name, verdict=Verdict.SKIPPED, sentence=f"the check {because} failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The results of one validation, in the order of Name. has_gpus: False if the node has no NVIDIA GPU; then there are no results.

    simulated: the GPUs are simulated.
    """

    checks: tuple[Check, ...] = ()
    has_gpus: bool = True
    simulated: bool = False

    @property
    def failure(self) -> Check | None:
        """The first check that failed."""
        return next((each for each in self.checks if each.verdict is Verdict.FAILED), None)

    def is_valid(self, names: Iterable[Name]) -> bool:
        """Whether all of these checks ran, and none of them failed or was skipped."""
        verdicts = {each.name: each.verdict for each in self.checks}
        return all(verdicts.get(name) in (Verdict.PASSED, Verdict.NOT_APPLICABLE) for name in names)
