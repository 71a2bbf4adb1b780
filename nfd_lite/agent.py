"""One look at the host, as labels. What a source that fails would have said stays as it is on the Node."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from nfd_lite.sources import GPU_PRESENT_PART, Host, SourceSettings, collect
from nfd_lite.sources.api import PREFIX
from node_core.assembly import Destination, Edges, choose_publisher
from node_core.domain.features import Features
from node_core.domain.labels import GPU_PRESENT, Collected, Labels
from node_core.host.cpuid import read_cpu
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "nfd-lite"
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/nfd-lite")


class WhiteList(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NfdSettings:
    """What nfd-lite takes beside the common settings.

    label_sources: names of the sources whose labels are published; rules see the features of all. white_list: searched in the part
    of each key after the slash.
    """

    label_sources: frozenset[str]
    source_settings: SourceSettings
    white_list: WhiteList | None
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE


def build_agent(settings: NfdSettings, edges: Edges, services: Services) -> LabelAgent:
    """An agent that is not started yet."""
    return LabelAgent(
        NAME,
        collect=Collector(settings, edges, services.readiness),
        publisher=choose_publisher(edges, settings.publish, settings.output_file, NAME),
        services=services,
        lock=edges.lock(NAME),
    )


class Collector:
    """Looks at the host once a call. It keeps the last features for sources that fail, and says an error once."""

    def __init__(self, settings: NfdSettings, edges: Edges, readiness: Readiness) -> None:
        self._settings = settings
        self._readiness = readiness
        node_name = edges.common.node_name or None
        self._host = Host(root=edges.root, cpu=read_cpu, node_name=node_name, extra_pci=edges.extra_pci())
        self._features = Features()
        self._errors: dict[str, str] = {}

    def __call__(self) -> Sequence[Collected]:
        hidden = [folder for folder in ("/proc", "/sys") if not self._host.root.entries(folder)]
        self._readiness.report(f"{NAME}/host", hidden_problem(hidden, self._host.root.base))
        if hidden:
            return (Collected(name="host", labels=None, owns=(PREFIX, GPU_PRESENT)),)
        collection = collect(self._host, self._settings.source_settings, before=self._features)
        self._features = collection.features
        self._tell(dict(collection.errors))
        return select_labels(collection.collected, self._settings.label_sources, self._settings.white_list)

    def _tell(self, errors: dict[str, str]) -> None:
        for part in sorted(errors.keys() | self._errors.keys()):
            if part not in errors:
                log.info("source_recovered", source=part)
            elif errors[part] != self._errors.get(part):
                log.warning("source_failed", source=part, why=errors[part], effect="its published labels stay")
        self._errors = errors


def hidden_problem(hidden: Sequence[str], root: Path) -> str | None:
    """A host without these folders is no host: a mount is missing, and what follows from an empty one would take labels away."""
    if not hidden:
        return None
    return f"the host's {' and '.join(hidden)} cannot be seen below {root}: mount them, or correct --host-root"


def select_labels(
    collected: Sequence[Collected], sources: frozenset[str], white_list: WhiteList | None
) -> Sequence[Collected]:
    """`core.labelSources` and `core.labelWhiteList`. Pure. `nvidia.com/gpu.present` always passes: the device plugin waits for it."""
    always = [part for part in collected if part.name == GPU_PRESENT_PART]
    chosen = [part for part in collected if part.name != GPU_PRESENT_PART and part.name.partition(".")[0] in sources]
    return [*(replace(part, labels=_matching(part.labels, white_list)) for part in chosen), *always]


def _matching(labels: Labels | None, white_list: WhiteList | None) -> Labels | None:
    if labels is None or white_list is None:
        return labels
    return {key: value for key, value in labels.items() if white_list.search(key.rpartition("/")[2])}
