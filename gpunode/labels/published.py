"""The labels that the agents would publish, with the source of each value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from gfd.labelers import DECLARED as OF_GFD
from gpu_core.domain.inventory import Platform
from gpunode.labels.agents import GFD, NFD, Agents, Pass
from gpunode.labels.host_files import find_exact_source
from gpunode.labels.rule_views import CLUSTER, RuleView
from nfd_lite.declared_labels import DECLARED as OF_NFD
from nfd_lite.label_keys import qualify_keys
from nfd_lite.rule_pass import CUSTOM
from nfd_lite.sources.api import ScanContext
from nfd_lite.sources.local import LABEL as FEATURE_FILES
from nfd_lite.sources.local import read_files
from node_core.domain.desired import CollectorResult
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.values import replace

ANY = "<key>"
"""The key of the declaration for feature files, which matches every label."""
_PCI = "/sys/bus/pci/"
_MACHINE = "the file of --machine-type-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label. source: where the value comes from. meaning: of the value, if the label is declared.

    overridden: labels with the same key and a lower precedence.
    """

    key: str
    value: str
    agent: str
    source: str
    meaning: str = ""
    overridden: tuple["Label", ...] = ()


def list_labels(agents: Agents, rules: Iterable[RuleView]) -> list[Label]:
    """Returns all labels, sorted by key. A key that both agents set occurs twice."""
    labels = (*_NfdSources(agents, tuple(rules)).labels(), *_gfd_labels(agents))
    return sorted(labels, key=lambda each: each.key)


def find_declaration(key: str) -> tuple[str, LabelDeclaration] | None:
    """Returns the agent and the declaration of a label; None for a label that only rules and feature files set."""
    return next(((agent, each) for agent, each in _declarations() if each.key != ANY and each.matches(key)), None)


def find_collector(key: str) -> tuple[str, LabelDeclaration] | None:
    """Returns the collector of nfd-lite that declares a label, and the declaration. Rules are no such collector."""
    pairs = ((name, each) for name, declared in OF_NFD.items() if name != CUSTOM for each in declared)
    return next(((name, each) for name, each in pairs if each.key != ANY and each.matches(key)), None)


def list_declared_keys() -> list[str]:
    """Returns the keys of all declared labels without variable parts."""
    return [each.key for _, each in _declarations() if "<" not in each.key]


def describe_meaning(declared: LabelDeclaration) -> str:
    """Returns the meaning of the value. A label that can only be `true` means that its condition is met."""
    return plain(f"{declared.value} {declared.presence}" if declared.value == "`true`" else declared.value)


def plain(text: str) -> str:
    """Returns a declared text without the marks of Markdown."""
    return text.replace("`", "")


def describe_gpu_source(source: str, agents: Agents) -> str:
    """Returns the source of a label of gfd, for GPUs that are simulated or were not discovered through NVML."""
    if not re.search(rf"\bnvml|{_PCI}", source):
        return source
    if agents.dependencies.simulated is not None:
        return f"{source}, simulated"
    if agents.uses_nvml or "nvml" not in source:
        return source
    is_tegra = agents.inventory is not None and agents.inventory.platform is Platform.TEGRA
    return "the CUDA driver API" if is_tegra else f"{_PCI}devices, GPUs with the driver vfio-pci"


def _declarations() -> Iterator[tuple[str, LabelDeclaration]]:
    yield from ((NFD, each) for declared in OF_NFD.values() for each in declared)
    yield from ((GFD, each) for each in OF_GFD)


def _gfd_labels(agents: Agents) -> Iterator[Label]:
    for key, value in agents.gfd.labels.items():
        declared = next(each for each in OF_GFD if each.matches(key))
        source = describe_gpu_source(plain(declared.source), agents)
        source = source.replace(_MACHINE, agents.settings.gfd.machine_type_file or _MACHINE)
        yield Label(key=key, value=value, agent=GFD, source=source, meaning=describe_meaning(declared))


class _NfdSources:
    """Finds the sources of the labels of nfd-lite."""

    def __init__(self, agents: Agents, rules: tuple[RuleView, ...]) -> None:
        self._pass: Pass = agents.nfd
        self._rules = rules
        self._files = find_feature_files(agents)
        self._exact_source = cache(
            partial(find_exact_source, host=agents.host, settings=agents.nfd_settings.source_settings)
        )
        is_simulated = agents.dependencies.simulated is not None
        self._real = agents.run_nfd(agents.nfd_settings, is_simulated=False) if is_simulated else agents.nfd

    def labels(self) -> Iterator[Label]:
        for key, value in self._pass.labels.items():
            *lower, last = [each for each in self._pass.results if key in (each.labels or {})]
            overridden = tuple(self._label(each, key) for each in reversed(lower))
            label = replace(self._label(last, key), value=value, overridden=overridden)
            is_real = self._real.labels.get(key) == value
            yield label if is_real else replace(label, source=f"{label.source}, simulated")

    def _label(self, result: CollectorResult, key: str) -> Label:
        value, source, meaning = (result.labels or {})[key], "", ""
        rule = next((each for each in reversed(self._rules) if _sets(each, result, key)), None)
        declared = next((each for each in OF_NFD.get(result.name, ()) if each.matches(key)), None)
        if declared is not None:
            source = self._exact_source(result.name, declared.source) or plain(declared.source)
            meaning = describe_meaning(declared)
        if rule is not None and not rule.is_built_in:
            source, meaning = f"the rule {rule.name}", ""
        if result.name == FEATURE_FILES:
            source, meaning = self._files.get(key, source), ""
        return Label(key=key, value=value, agent=NFD, source=source, meaning=meaning)


def _sets(view: RuleView, result: CollectorResult, key: str) -> bool:
    return result.name in (CUSTOM, CLUSTER) and view.collector == result.name and key in view.trace.outputs.labels


def find_feature_files(agents: Agents) -> Labels:
    """Returns key -> path of the feature file that sets the label."""
    settings = agents.nfd_settings.source_settings
    try:
        files = read_files(ScanContext(agents.host, settings))[1]
    except HostReadError:
        return {}
    paths: Mapping[str, str] = {
        key: f"{settings.features_dir}/{name}" for name, file in files.items() for key in file.labels
    }
    return qualify_keys(paths)
