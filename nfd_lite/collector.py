"""Computes the desired state from the host and the rules. The published labels of a source that fails are retained."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from nfd_lite.label_keys import WhiteList
from nfd_lite.node_labels import MANAGER, NODE_LABEL, select_foreign_labels, with_node_labels
from nfd_lite.rule_pass import Rules
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import INDEPENDENT, Collection, Host, collect, insert_custom_results
from node_core.domain.desired import CollectorResult, Desired, NameHistory, failed_result
from node_core.domain.features import exclude_features
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.runtime.readiness import Readiness
from node_core.values import replace

log = structlog.get_logger(__name__)


class Collector:
    """Computes the desired state at each call. Retains the last features of sources that fail, and logs each error once.

    Rules see the features of all sources; the labels of `settings.label_sources` are published. collection: the last scan; empty before
    the first scan.
    """

    def __init__(self, host: Host, settings: NfdSettings, rules: Rules, readiness: Readiness) -> None:
        self._host = host
        self._settings = settings
        self._rules = rules
        self._readiness = readiness
        self._history = NameHistory()
        self.collection = Collection()

    def __call__(self, node: NodeView | None) -> Desired:
        """node: the observed Node; None until the first list."""
        missing = [folder for folder in ("/proc", "/sys") if not self._host.root.entries(folder)]
        self._readiness.report(f"{MANAGER}/host", missing_mount_problem(missing, self._host.root.base))
        if missing:
            return self._desired((failed_result("host"),), expires_at=None)
        began, before = time.monotonic(), self.collection
        self.collection = collection = collect(self._host, self._settings.source_settings, previous=before.features)
        features = collection.features
        log.debug(
            "features_discovered",
            agent=MANAGER,
            seconds=round(time.monotonic() - began, 4),
            failed=sorted(collection.errors),
        )
        log_errors(before.errors, collection.errors)
        log_problems(before.problems, collection.problems)
        unavailable = {name.lower() for name in collection.errors}
        if self._settings.publish == "node" and node is not None:
            features = with_node_labels(features, select_foreign_labels(node))
        elif self._settings.publish == "node":
            unavailable.add(NODE_LABEL)
        rules = self._rules.evaluate(features, frozenset(unavailable))
        results = insert_custom_results(collection.results, rules.custom)
        selected = select_labels(results, self._settings.label_sources, self._settings.white_list)
        named = self._history.add((*selected, *rules.cluster))
        return self._desired(named, expires_at=collection.expires_at)

    def _desired(self, results: tuple[CollectorResult, ...], *, expires_at: float | None) -> Desired:
        return Desired(
            results=tuple(self._restrict(each) for each in results),
            features=exclude_features(self.collection.features, self._settings.excluded_features),
            expires_at=expires_at,
        )

    def _restrict(self, result: CollectorResult) -> CollectorResult:
        """Removes the kinds of outputs that the settings do not allow. The labels of INDEPENDENT remain: other programs depend on them."""
        restrictions = self._settings.restrictions
        are_disabled = {
            "labels": restrictions.disable_labels and result.name not in INDEPENDENT,
            "annotations": restrictions.disable_annotations,
            "extended_resources": restrictions.disable_extended_resources,
            "taints": not (self._settings.rules.taints and self._settings.publish == "node"),
        }
        removed: dict[str, Any] = {kind: {} for kind, is_disabled in are_disabled.items() if is_disabled}
        return replace(result, **removed)


def log_errors(before: Mapping[str, str], errors: Mapping[str, str]) -> None:
    """Logs each new error, and each error that has ended."""
    for part in sorted(errors.keys() | before.keys()):
        if part not in errors:
            log.info("source_recovered", source=part)
        elif errors[part] != before.get(part):
            log.warning("source_failed", source=part, why=errors[part], effect="its published labels remain")


def log_problems(before: Mapping[str, tuple[str, ...]], problems: Mapping[str, tuple[str, ...]]) -> None:
    """Logs each new problem."""
    known, current = (frozenset(problem for each in one.values() for problem in each) for one in (before, problems))
    for problem in sorted(current - known):
        log.warning("user_file_problem", why=problem)


def missing_mount_problem(missing: Sequence[str], root: Path) -> str | None:
    """Returns why the host cannot be read. A scan without /proc or /sys would remove labels."""
    if not missing:
        return None
    return f"{root} does not contain the host's {' and '.join(missing)}. Mount the host there, or correct --host-root"


def select_labels(
    results: Sequence[CollectorResult], sources: frozenset[str], white_list: WhiteList | None
) -> Sequence[CollectorResult]:
    """Applies `core.labelSources` and `core.labelWhiteList`. PURE.

    The labels of INDEPENDENT are always published, because other programs depend on them. The settings do not apply to outputs of custom
    rules that are not labels.
    """
    always = [part for part in results if part.name in INDEPENDENT]
    others = [part for part in results if part.name not in INDEPENDENT]
    selected = [
        replace(part, labels=_select_matching(part.labels, white_list)) for part in others if _source(part) in sources
    ]
    unlabelled = [replace(part, labels={}) for part in others if _source(part) == "custom" and "custom" not in sources]
    return [*selected, *unlabelled, *always]


def _source(part: CollectorResult) -> str:
    return part.name.partition(".")[0]


def _select_matching(labels: Labels | None, white_list: WhiteList | None) -> Labels | None:
    if labels is None or white_list is None:
        return labels
    return {key: value for key, value in labels.items() if white_list.search(key.rpartition("/")[2])}
