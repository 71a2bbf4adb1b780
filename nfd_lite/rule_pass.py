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
MAX_ANNOTATIONS = 128 << 10
"""Bytes. The API server takes 256 KiB of annotations on one object, and refuses everything with them beyond that."""
Objects = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """configured: `sources.custom` of the config file. custom_dir: the host folder of drop-ins. taints: rules may taint this Node."""

    configured: RuleSet | None = None
    custom_dir: str = CUSTOM_DIR
    policy: OutputPolicy = field(default_factory=OutputPolicy)
    taints: bool = False


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
        self._custom = Run(custom_labels)
        self._ruled = Run(evaluate)
        self._decoded: dict[str, _Decoded] = {}
        self._said: frozenset[tuple[str, str]] = frozenset()

    def look(self, features: Features, unsure: frozenset[str] = frozenset()) -> tuple[Collected, tuple[Collected, ...]]:
        """The labels of custom rules, and those that come after all sources.

        features: of this host. unsure: those that could not be read just now, or not all of them.
        """
        custom, custom_is_all = self._look_custom(features, unsure)
        merged = self._merge(features)
        ruled, ruled_is_all = self._look_cluster(merged.features if merged else None, unsure)
        is_all = custom_is_all and ruled_is_all
        made = join((_made(custom), _made(ruled)))
        annotations, over = fit_annotations(made.annotations)
        problems = (*custom.problems, *ruled.problems, *_too_much(over, custom, ruled))
        self._reporter.report((*problems, *self._silent_taints(custom, ruled)), self._objects or {})
        self._reporter.check_known(is_all=is_all)
        self.outputs = NodeOutputs(
            annotations=annotations,
            extended_resources=made.extended_resources,
            taints=made.taints,
            partial=not is_all,
        )
        keep = () if is_all else (Collected(name="rules.unknown", labels=None, rest=True),)
        theirs = () if merged is None else (Collected(name="node-features", labels=merged.labels, rest=True),)
        return (
            Collected(name=CUSTOM, labels=custom.labels, rest=True),
            (*keep, *theirs, Collected(name="rules", labels=ruled.labels, rest=True)),
        )

    @property
    def _objects(self) -> Objects | None:
        return self._cluster.state if self._cluster else None

    def _look_custom(self, features: Features, unsure: frozenset[str]) -> tuple[Outcome, bool]:
        """What custom rules made, and whether that is all."""
        settings = self._settings
        self._files = read_custom_dir(self._root, self._files, settings.custom_dir)
        sets = (*((settings.configured,) if settings.configured else ()), *self._files.sets)
        outcome = self._custom.on(sets, features, settings.policy, unsure)
        self._say("rule_file_refused", self._files.problems)
        return outcome, not (self._files.unknown or outcome.incomplete)

    def _look_cluster(self, features: Features | None, unsure: frozenset[str]) -> tuple[Outcome, bool]:
        """What NodeFeatureRules made, and whether that is all. features: None while it is not known what others say."""
        if self._cluster is None:
            return Outcome(), True
        objects = self._cluster.state
        if objects is None or features is None:
            return self._ruled.last or Outcome(), False
        self._decoded = {name: _decode(name, obj, self._decoded.get(name)) for name, obj in objects.items()}
        sets = tuple(each.rules for each in self._decoded.values() if each.rules is not None)
        outcome = self._ruled.on(sets, features, self._settings.policy, unsure)
        unusable = tuple(each.problem for each in self._decoded.values() if each.problem is not None)
        is_all = not outcome.incomplete and all(each.rules is not None for each in self._decoded.values())
        return replace(outcome, problems=(*outcome.problems, *unusable)), is_all

    def _silent_taints(self, *outcomes: Outcome) -> tuple[RuleProblem, ...]:
        """Taints that rules ask for and that nobody allowed."""
        if self._settings.taints:
            return ()
        why = "taints of rules are off on this node: --enable-taints lets them through"
        made = ((id_, taint) for outcome in outcomes for id_, each in outcome.made.items() for taint in each.taints)
        return tuple(RuleProblem(set_name=id_[0], rule=id_[1], key=taint.key, why=why) for id_, taint in made)

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

    def _say(self, event: str, problems: Iterable[str]) -> None:
        """Each problem once, and again when it comes back."""
        now = frozenset((event, problem) for problem in problems)
        for _, problem in sorted(now - self._said):
            log.warning(event, why=problem)
        self._said = now | {(known, problem) for known, problem in self._said if known != event}


class Run:
    """Rules that are evaluated look after look. Evaluation is pure, so what did not change is not evaluated again."""

    def __init__(self, evaluate: Callable[..., Outcome]) -> None:
        self.last: Outcome | None = None
        self._evaluate = evaluate
        self._asked: object = None

    def on(
        self, sets: tuple[RuleSet, ...], features: Features, policy: OutputPolicy, unsure: frozenset[str]
    ) -> Outcome:
        """last: what was made the time before; None at first."""
        asked = (sets, features, policy, unsure)
        if self.last is None or asked != self._asked:
            self.last = self._evaluate(sets, features, policy, self.last, unsure)
            self._asked = asked
        return self.last


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


def fit_annotations(annotations: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """Those that all together fit on a Node beside others', in order of their keys, and the keys of those that do not."""
    fitting: dict[str, str] = {}
    left = MAX_ANNOTATIONS
    for key, value in sorted(annotations.items()):
        left -= len(key.encode()) + len(value.encode(errors="surrogatepass"))
        if left >= 0:
            fitting[key] = value
    return fitting, frozenset(annotations.keys() - fitting.keys())


def _too_much(over: frozenset[str], *outcomes: Outcome) -> tuple[RuleProblem, ...]:
    why = (
        f"all rules together make annotations of more than {MAX_ANNOTATIONS} bytes, and a Node has room for little more"
    )
    made = ((id_, key) for outcome in outcomes for id_, each in outcome.made.items() for key in each.annotations)
    return tuple(RuleProblem(set_name=id_[0], rule=id_[1], key=key, why=why) for id_, key in made if key in over)


def _made(outcome: Outcome) -> Made:
    return Made(annotations=outcome.annotations, taints=outcome.taints, extended_resources=outcome.extended_resources)


def _settling(policy: OutputPolicy) -> Callable[[str, str, Mapping[str, Attributes]], str]:
    def settle(key: str, value: str, attributes: Mapping[str, Attributes]) -> str:
        return settle_label(key, resolve(value, attributes), policy)

    return settle
