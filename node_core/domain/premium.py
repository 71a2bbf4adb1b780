"""Premium rules: which GPUs make a Node one that ordinary pods keep off, and by which taints and labels. PURE.

`premium:` in NVIDIA's config file is a list of `PremiumRule`. Keys are held to `nvidia.com/`, so that no rule can claim what
belongs to Kubernetes or to another agent.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from node_core.domain.family import family
from node_core.domain.inventory import ComputeCapability, Gpu, Inventory
from node_core.domain.labels import (
    DEVICE_PLUGIN_CONFIG,
    GPU_PRESENT,
    Collected,
    Labels,
    key_problem,
    sanitize,
    value_problem,
)
from node_core.domain.quantity import parse_quantity
from node_core.domain.taints import Effect, Taint, WantedTaints

PREFIX = "nvidia.com/"
RESERVED = frozenset({GPU_PRESENT, DEVICE_PLUGIN_CONFIG})
"""Labels that others write and agents decide by."""
_GIB = 1 << 30


class PremiumMatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All that is given must hold; nothing given is true of every GPU.

    product: a pattern with `*` and `?`, in any case, for the name as NVML or as the label has it. memoryAtLeast: a quantity; a board's
    memory counts in GiB, rounded up, since drivers keep a little: the 81559 MiB of an H100 are 80Gi. computeAtLeast: `9.0`.
    countAtLeast: so many such GPUs of one model. family: as in nvidia.com/gpu.family.
    """

    product: str | None = None
    memory_at_least: str | int | None = None
    compute_at_least: str | int | float | None = None
    count_at_least: int = 1
    family: str | None = None

    def problems(self) -> Iterator[str]:
        if self.memory_at_least is not None:
            try:
                parse_quantity(self.memory_at_least)
            except ValueError as error:
                yield f"match.memoryAtLeast: {error}"
        if self.compute_at_least is not None and _parse_compute(self.compute_at_least) is None:
            yield f"match.computeAtLeast: {self.compute_at_least!r} is not a compute capability such as 9.0"
        if self.count_at_least < 1:
            yield f"match.countAtLeast: {self.count_at_least} is less than 1"

    def holds(self, gpu: Gpu) -> bool:
        """Whether this one GPU is such a one. What NVML does not say is no match."""
        return all(
            (
                self.product is None or _is_like(gpu.model, self.product),
                self.memory_at_least is None or _gib_bytes(gpu) >= parse_quantity(self.memory_at_least),
                self.compute_at_least is None or _reaches(gpu.compute, _parse_compute(self.compute_at_least)),
                self.family is None or (gpu.compute is not None and family(gpu.compute) == self.family.lower()),
            )
        )

    def matches(self, gpus: Iterable[Gpu]) -> bool:
        """Whether there are enough such GPUs of one model."""
        counts = Counter(gpu.model for gpu in gpus if self.holds(gpu))
        return any(count >= self.count_at_least for count in counts.values())


class PremiumTaint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A taint as Kubernetes writes it."""

    key: str
    effect: Effect
    value: str = ""


class PremiumRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """name: for messages. Raises ValueError with every problem of the rule."""

    name: str
    match: PremiumMatch
    taint: PremiumTaint | None = None
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError(f"premium rule {self.name!r}: {'; '.join(problems)}")

    def _problems(self) -> Iterator[str]:
        yield from self.match.problems()
        if self.taint is None and not self.labels:
            yield "does nothing: give it a taint, labels, or both"
        if self.taint is not None:
            yield from _key_problems("taint.key", self.taint.key)
            yield from _value_problems("taint.value", self.taint.value)
        for key, value in self.labels.items():
            yield from _key_problems("labels", key)
            yield from _value_problems(f"labels.{key}", value)
            if key in RESERVED:
                yield f"labels: {key} is not for rules to set"


@dataclass(frozen=True, slots=True, kw_only=True)
class PremiumVerdict:
    """What the rules make of one look at the GPUs. matched: the names of the rules that hold."""

    matched: tuple[str, ...]
    labels: Labels
    taints: tuple[Taint, ...]


def evaluate(rules: Sequence[PremiumRule], inventory: Inventory) -> PremiumVerdict:
    """Labels and taints of all rules that hold. Of two that set the same label, or taint of one key and effect, the later wins."""
    holding = [rule for rule in rules if rule.match.matches(inventory.gpus)]
    labels = {key: value for rule in holding for key, value in rule.labels.items()}
    taints = [Taint(key=it.key, value=it.value, effect=it.effect) for rule in holding if (it := rule.taint) is not None]
    by_place = {taint.place: taint for taint in taints}
    return PremiumVerdict(
        matched=tuple(rule.name for rule in holding), labels=labels, taints=tuple(sorted(by_place.values()))
    )


def wanted_taints(verdict: PremiumVerdict, inventory: Inventory) -> WantedTaints:
    """With a GPU that could not be read the look is partial: it may add, and takes nothing away."""
    return WantedTaints(taints=verdict.taints, partial=bool(inventory.faults))


def premium_labels(
    rules: Sequence[PremiumRule], verdict: PremiumVerdict, inventory: Inventory
) -> tuple[Collected, ...]:
    """The labels as collectors bring them. After a partial look what was published under the rules' keys stays."""
    unseen = unseen_labels(rules)
    if not unseen:
        return ()
    found = Collected(name="premium", labels=verdict.labels, owns=unseen[0].owns)
    return (found, *unseen) if inventory.faults else (found,)


def unseen_labels(rules: Sequence[PremiumRule]) -> tuple[Collected, ...]:
    """What a look that failed brings: the rules' keys stay as they are published."""
    keys = tuple(sorted({key for rule in rules for key in rule.labels}))
    return (Collected(name="premium-unseen", labels=None, owns=keys),) if keys else ()


def _is_like(model: str, pattern: str) -> bool:
    names = (model.lower(), sanitize(model).lower())
    return any(fnmatchcase(name, pattern.lower()) for name in names)


def _gib_bytes(gpu: Gpu) -> int:
    return math.ceil((gpu.memory_bytes or 0) / _GIB) * _GIB


def _parse_compute(text: str | float) -> ComputeCapability | None:
    major, _, minor = str(text).partition(".")
    minor = minor or "0"
    if not (major.isascii() and major.isdecimal() and minor.isascii() and minor.isdecimal()):
        return None
    return ComputeCapability(major=int(major), minor=int(minor))


def _reaches(compute: ComputeCapability | None, least: ComputeCapability | None) -> bool:
    return compute is not None and least is not None and compute >= least


def _key_problems(field: str, key: str) -> Iterator[str]:
    if problem := key_problem(key):
        yield f"{field}: {key!r}: {problem}"
    elif not key.startswith(PREFIX):
        yield f"{field}: {key} is not under {PREFIX}"


def _value_problems(field: str, value: str) -> Iterator[str]:
    if problem := value_problem(value):
        yield f"{field}: {problem}"
