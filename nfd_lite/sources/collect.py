"""One pass over all sources. Every part fails alone, and what failed says so instead of taking labels away."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nfd_lite.gpu_present import gpu_present
from nfd_lite.sources.api import OFF, Host, Look, Part, Partial, Source, SourceSettings
from nfd_lite.sources.local import LABEL as LOCAL_LABEL
from nfd_lite.sources.pci import DEVICE as PCI_DEVICE
from nfd_lite.sources.registry import ALL
from node_core.domain.features import Features, merge_features
from node_core.domain.labels import GPU_PRESENT, Collected
from node_core.errors import HostReadError
from node_core.host.discovery.platform import has_gpu_off_pci

GPU_PRESENT_PART = "gpu.present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """features: of every part that could be read, and of failed parts what the pass before had. errors: part -> what failed.

    collected: in order of precedence. A part that failed has labels=None and so keeps its published keys; one that was read in
    part has two entries, one that keeps them and one with what was found. problems: part -> what somebody wrote that is left out.
    expires_at: Unix seconds, when the first of the labels ceases to hold and it is time to look again; None for never.
    """

    features: Features
    collected: tuple[Collected, ...]
    errors: Mapping[str, str]
    problems: Mapping[str, tuple[str, ...]]
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """found: None when the part could not be read at all. error: None when nothing of it is missing."""

    part: Part
    found: Partial | None
    error: str | None

    @property
    def features(self) -> Features | None:
        return None if self.found is None else self.found.features


def collect(
    host: Host, settings: SourceSettings, sources: Iterable[Source] = ALL, before: Features | None = None
) -> Collection:
    """Reads the host once. before: the features of the last pass, which stand in for those of parts that fail now."""
    look = Look(host, settings)
    parts = [part for source in sources for part in source.parts]
    read = {part.name: _read(part, look) for part in parts if _is_wanted(part, settings) or part.name == PCI_DEVICE}
    outcomes = [outcome for outcome in read.values() if _is_wanted(outcome.part, settings)]
    labelled = [entry for outcome in outcomes for entry in _label(outcome, settings)]
    present = _gpu_present(read[PCI_DEVICE], host) if PCI_DEVICE in read else ()
    known = before or Features()
    found = [(outcome.part.name, outcome.found) for outcome in outcomes if outcome.found is not None]
    return Collection(
        features=merge_features(tuple(_features(outcome, known) for outcome in outcomes)),
        collected=(*labelled, *present),
        errors={name: outcome.error for name, outcome in read.items() if outcome.error is not None},
        problems={name: partial.problems for name, partial in found if partial.problems},
        expires_at=min((each.expires_at for _, each in found if each.expires_at is not None), default=None),
    )


def add_custom(collected: Sequence[Collected], custom: Collected) -> tuple[Collected, ...]:
    """With the labels of custom rules, which win over every source but the feature files."""
    names = [each.name for each in collected]
    at = names.index(LOCAL_LABEL) if LOCAL_LABEL in names else len(names)
    return (*collected[:at], custom, *collected[at:])


def _is_wanted(part: Part, settings: SourceSettings) -> bool:
    source = part.name.partition(".")[0]
    return source not in OFF if settings.feature_sources is None else source in settings.feature_sources


def _read(part: Part, look: Look) -> _Outcome:
    try:
        found = part.read(look)
    except (HostReadError, OSError, ValueError) as error:
        return _Outcome(part=part, found=None, error=str(error))
    partial = found if isinstance(found, Partial) else Partial(features=found)
    return _Outcome(part=part, found=partial, error="; ".join(partial.reasons) or None)


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
    return _entries(Collected(name=part.name, labels=labels, owns=part.owns, rest=part.rest), outcome)


def _gpu_present(outcome: _Outcome, host: Host) -> tuple[Collected, ...]:
    """Whatever sources were chosen: the device plugin waits for this label."""
    found = Collected(name=GPU_PRESENT_PART, labels=None, owns=(GPU_PRESENT,))
    try:
        off_pci = host.gpus_off_pci or has_gpu_off_pci(host.root)
    except HostReadError:
        return (found,)
    if outcome.features is not None:
        found = replace(found, labels=gpu_present(outcome.features, off_pci=off_pci))
    return _entries(found, outcome)


def _entries(found: Collected, outcome: _Outcome) -> tuple[Collected, ...]:
    keeps = () if outcome.error is None else (replace(found, labels=None),)
    return keeps if found.labels is None else (*keeps, found)
