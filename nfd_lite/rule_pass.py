"""Rules in the agent's life: where they come from, what they made of the last look, and whether that is all.

Custom rules (built in, from the config file, from drop-ins) come first and see what this host is. NodeFeatureRules of the cluster see the
same, and what others say of this Node. What cannot be read or evaluated takes nothing away: the published labels, annotations, taints
and resources stay.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from nfd_lite.rules.custom import custom_labels
from nfd_lite.rules.custom_files import CUSTOM_DIR, CustomFiles, read_custom_dir
from nfd_lite.rules.decode import decode_rule_set
from nfd_lite.rules.evaluate import evaluate, join
from nfd_lite.rules.model import Made, Outcome, RuleProblem, RuleSet
from nfd_lite.rules.outputs import OutputPolicy, resolve, settle_label
from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Collected
from node_core.domain.merge import Merged, Place, merge_node_features
from node_core.domain.outputs import NodeOutputs
from node_core.errors import SettingsError
from node_core.host.root import HostRoot
from node_core.runtime.rule_reporter import RuleReporter

log = structlog.get_logger(__name__)

CUSTOM = "custom.rules"
Objects = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """configured: `sources.custom` of the config file. custom_dir: the host folder of drop-ins."""

    configured: RuleSet | None = None
    custom_dir: str = CUSTOM_DIR
    policy: OutputPolicy = field(default_factory=OutputPolicy)


class Watched(Protocol):
    """See runtime.collection_link. state: None while it is not known, which is not the same as none."""

    @property
    def state(self) -> Objects | None: ...


class Rules:
    """Used by the agent's thread. cluster: the NodeFeatureRules, or None where none are followed. others: NodeFeatures of our Node.

    outputs: what is wanted on the Node beside labels; None before the first look.
    """

    def __init__(
        self,
        settings: RuleSettings,
        root: HostRoot,
        reporter: RuleReporter,
        *,
        place: Place,
        cluster: Watched | None = None,
        others: Watched | None = None,
    ) -> None:
        self.outputs: NodeOutputs | None = None
        self._settings = settings
        self._root = root
        self._reporter = reporter
        self._place = place
        self._cluster = cluster
        self._others = others
        self._files: CustomFiles | None = None
        self._custom = Outcome()
        self._ruled = Outcome()
        self._decoded: dict[str, _Decoded] = {}
        self._said: frozenset[tuple[str, str]] = frozenset()

    def look(self, features: Features) -> tuple[Collected, tuple[Collected, ...]]:
        """The labels of custom rules, and those that come after all sources. features: of this host."""
        custom, custom_is_all = self._look_custom(features)
        merged = self._merge(features)
        ruled, ruled_is_all = self._look_cluster(None if merged is None else merged.features)
        is_all = custom_is_all and ruled_is_all
        self._reporter.report(
            (*custom.problems, *ruled.problems), (self._cluster.state if self._cluster else None) or {}
        )
        self.outputs = self._render_outputs(custom, ruled, partial=not is_all)
        keep = () if is_all else (Collected(name="rules.unknown", labels=None, rest=True),)
        theirs = () if merged is None else (Collected(name="node-features", labels=merged.labels, rest=True),)
        return (
            Collected(name=CUSTOM, labels=custom.labels, rest=True),
            (*keep, *theirs, Collected(name="rules", labels=ruled.labels, rest=True)),
        )

    def _look_custom(self, features: Features) -> tuple[Outcome, bool]:
        """What custom rules made, and whether that is all."""
        settings = self._settings
        self._files = read_custom_dir(self._root, self._files, settings.custom_dir)
        sets = (*((settings.configured,) if settings.configured else ()), *self._files.sets)
        self._custom = custom_labels(sets, features, settings.policy, self._custom)
        self._say("rule_file_refused", self._files.problems)
        return self._custom, not (self._files.unknown or self._custom.incomplete)

    def _look_cluster(self, features: Features | None) -> tuple[Outcome, bool]:
        """What NodeFeatureRules made, and whether that is all. features: None while it is not known what others say."""
        if self._cluster is None:
            return Outcome(), True
        objects = self._cluster.state
        if objects is None or features is None:
            return self._ruled, False
        self._decoded = {name: _decode(name, obj, self._decoded.get(name)) for name, obj in objects.items()}
        sets = [each.rules for each in self._decoded.values() if each.rules is not None]
        self._ruled = evaluate(sets, features, self._settings.policy, self._ruled)
        unusable = tuple(each.problem for each in self._decoded.values() if each.problem is not None)
        is_all = not self._ruled.incomplete and all(each.rules is not None for each in self._decoded.values())
        return replace(self._ruled, problems=(*self._ruled.problems, *unusable)), is_all

    def _merge(self, features: Features) -> Merged | None:
        """With what others say of this Node; None while that is not known."""
        if self._others is None:
            return Merged(features=features, labels={})
        if self._others.state is None:
            return None
        objects = self._others.state.values()
        merged = merge_node_features(features, objects, place=self._place, settle=_settling(self._settings.policy))
        self._say("node_feature_refused", (f"{each.object}: {each.where}: {each.why}" for each in merged.problems))
        return merged

    def _render_outputs(self, custom: Outcome, ruled: Outcome, *, partial: bool) -> NodeOutputs:
        made = join((_made(custom), _made(ruled)))
        return NodeOutputs(
            annotations=made.annotations,
            extended_resources=made.extended_resources,
            taints=made.taints,
            partial=partial,
        )

    def _say(self, event: str, problems: Iterable[str]) -> None:
        """Each problem once, and again when it comes back."""
        now = frozenset((event, problem) for problem in problems)
        for _, problem in sorted(now - self._said):
            log.warning(event, why=problem)
        self._said = now | {(known, problem) for known, problem in self._said if known != event}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    """A NodeFeatureRule. rules: what it says, or said before when it cannot be used now; None when that is not known."""

    version: object
    rules: RuleSet | None
    problem: RuleProblem | None = None


def _decode(name: str, obj: Mapping[str, Any], before: _Decoded | None) -> _Decoded:
    """Decoded anew only when it changed."""
    version = (obj["metadata"].get("uid"), obj["metadata"].get("generation"))
    if before is not None and before.version == version:
        return before
    try:
        return _Decoded(version=version, rules=decode_rule_set(obj, name))
    except SettingsError as error:
        problem = RuleProblem(set_name=name, rule="", why="; ".join(error.problems))
        return _Decoded(version=version, rules=before.rules if before else None, problem=problem)


def _made(outcome: Outcome) -> Made:
    return Made(annotations=outcome.annotations, taints=outcome.taints, extended_resources=outcome.extended_resources)


def _settling(policy: OutputPolicy) -> Callable[[str, str, Mapping[str, Attributes]], str]:
    def settle(key: str, value: str, attributes: Mapping[str, Attributes]) -> str:
        return settle_label(key, resolve(value, attributes), policy)

    return settle
