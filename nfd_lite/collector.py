"""One look at the host, as labels. What a source that fails would have said stays as it is on the Node."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog

from nfd_lite.rule_pass import Rules
from nfd_lite.sources import GPU_PRESENT_PART, Host, SourceSettings, add_custom, collect
from nfd_lite.sources.api import PREFIX
from node_core.domain.features import Features
from node_core.domain.labels import GPU_PRESENT, Collected, Labels
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)


class WhiteList(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> object | None: ...


class Collector:
    """Looks at the host once a call. It keeps the last features for sources that fail, and says an error once.

    label_sources: names of the sources whose labels are published; rules see the features of all. white_list: searched in the part of
    each key after the slash. look_again: told when the first of the labels ceases to hold, in Unix seconds, or None.
    """

    def __init__(
        self,
        host: Host,
        settings: SourceSettings,
        rules: Rules,
        *,
        label_sources: frozenset[str],
        white_list: WhiteList | None,
        readiness: Readiness,
        look_again: Callable[[float | None], None],
        name: str,
    ) -> None:
        self.features = Features()
        self._host = host
        self._settings = settings
        self._rules = rules
        self._label_sources = label_sources
        self._white_list = white_list
        self._readiness = readiness
        self._look_again = look_again
        self._name = name
        self._errors: Mapping[str, str] = {}
        self._problems: frozenset[str] = frozenset()

    def __call__(self) -> Sequence[Collected]:
        hidden = [folder for folder in ("/proc", "/sys") if not self._host.root.entries(folder)]
        self._readiness.report(f"{self._name}/host", hidden_problem(hidden, self._host.root.base))
        if hidden:
            return (Collected(name="host", labels=None, owns=(PREFIX, GPU_PRESENT), rest=True),)
        collection = collect(self._host, self._settings, before=self.features)
        self.features = collection.features
        self._look_again(collection.expires_at)
        self._tell(collection.errors)
        self._tell_problems(collection.problems)
        unsure = frozenset(part.lower() for part in collection.errors)
        custom, others = self._rules.look(self.features, unsure)
        collected = add_custom(collection.collected, custom)
        return (*select_labels(collected, self._label_sources, self._white_list), *others)

    def _tell(self, errors: Mapping[str, str]) -> None:
        for part in sorted(errors.keys() | self._errors.keys()):
            if part not in errors:
                log.info("source_recovered", source=part)
            elif errors[part] != self._errors.get(part):
                log.warning("source_failed", source=part, why=errors[part], effect="its published labels stay")
        self._errors = errors

    def _tell_problems(self, problems: Mapping[str, tuple[str, ...]]) -> None:
        now = frozenset(problem for each in problems.values() for problem in each)
        for problem in sorted(now - self._problems):
            log.warning("left_out", why=problem)
        self._problems = now


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
