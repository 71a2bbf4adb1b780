"""One pass over all sources. Every part fails alone, and what failed says so instead of taking labels away."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nfd_lite.gpu_present import gpu_present
from nfd_lite.sources.api import Host, Look, Part, Partial, Source, SourceSettings
from nfd_lite.sources.pci import DEVICE as PCI_DEVICE
from nfd_lite.sources.registry import ALL
from node_core.domain.features import Features, merge_features
from node_core.domain.labels import GPU_PRESENT, Collected
from node_core.errors import HostReadError

GPU_PRESENT_PART = "gpu.present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """features: of every part that could be read, and of failed parts what the pass before had. errors: part -> what failed.

    collected: in order of precedence. A part that failed has labels=None and so keeps its published keys; one that was read in
    part has two entries, one that keeps them and one with what was found.
    """

    features: Features
    collected: tuple[Collected, ...]
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """features: None when the part could not be read at all. error: None when nothing of it is missing."""

    part: Part
    features: Features | None
    error: str | None


def collect(
    host: Host, settings: SourceSettings, sources: Iterable[Source] = ALL, before: Features | None = None
) -> Collection:
    """Reads the host once. before: the features of the last pass, which stand in for those of parts that fail now."""
    look = Look(host, settings)
    outcomes = tuple(_read(part, look) for source in sources for part in source.parts)
    labelled = [entry for outcome in outcomes for entry in _label(outcome, settings)]
    present = [entry for outcome in outcomes if outcome.part.name == PCI_DEVICE for entry in _gpu_present(outcome)]
    known = before or Features()
    return Collection(
        features=merge_features(tuple(_features(outcome, known) for outcome in outcomes)),
        collected=(*labelled, *present),
        errors={outcome.part.name: outcome.error for outcome in outcomes if outcome.error is not None},
    )


def _read(part: Part, look: Look) -> _Outcome:
    try:
        found = part.read(look)
    except (HostReadError, OSError, ValueError) as error:
        return _Outcome(part=part, features=None, error=str(error))
    if isinstance(found, Partial):
        return _Outcome(part=part, features=found.features, error="; ".join(found.reasons))
    return _Outcome(part=part, features=found, error=None)


def _features(outcome: _Outcome, before: Features) -> Features:
    if outcome.features is not None:
        return outcome.features
    name = outcome.part.name
    return Features(
        flags={key: value for key, value in before.flags.items() if key == name},
        attributes={key: value for key, value in before.attributes.items() if key == name},
        instances={key: value for key, value in before.instances.items() if key == name},
    )


def _label(outcome: _Outcome, settings: SourceSettings) -> tuple[Collected, ...]:
    part = outcome.part
    labels = None if outcome.features is None else part.labels(outcome.features, settings)
    return _entries(part.name, outcome, labels, part.owns)


def _gpu_present(outcome: _Outcome) -> tuple[Collected, ...]:
    labels = None if outcome.features is None else gpu_present(outcome.features)
    return _entries(GPU_PRESENT_PART, outcome, labels, (GPU_PRESENT,))


def _entries(
    name: str, outcome: _Outcome, labels: Mapping[str, str] | None, owns: tuple[str, ...]
) -> tuple[Collected, ...]:
    keeps = () if outcome.error is None else (Collected(name=name, labels=None, owns=owns),)
    found = () if labels is None else (Collected(name=name, labels=labels, owns=owns),)
    return (*keeps, *found)
