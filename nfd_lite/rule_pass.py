"""Evaluates the rules of all origins. Returns one result for each owner of outputs.

Custom rules (built in, from the config file, from drop-in files) are evaluated first, with the features of this host. The
NodeFeatureRules of the cluster are evaluated with the same features and with the features of other NodeFeature objects. A rule that
cannot be evaluated retains the outputs that it may have published: the outputs that it names, and labels with any name if it has a
template. If rules cannot be read at all, all published outputs that belong to no other owner are retained.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec
import structlog

from nfd_lite.feature_names import describe_unknown, is_open, unknown_features
from nfd_lite.merge import MergeResult, NodeContext, merge_node_features
from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.rules.custom import evaluate_custom_rules
from nfd_lite.rules.custom_files import CUSTOM_DIR, CustomFiles, read_custom_dir
from nfd_lite.rules.decode import decode_rule_set, salvage_rule
from nfd_lite.rules.evaluate import EvaluationContext, dependent_rules, evaluate
from nfd_lite.rules.model import Outcome, Rule, RuleProblem, RuleSet
from nfd_lite.rules.outputs import OutputPolicy, declared_names, resolve, validate_label
from node_core.domain.desired import CollectorResult, failed_result
from node_core.domain.features import Attributes, Features
from node_core.domain.node_feature import OPENSHIFT_GROUP
from node_core.errors import SettingsError
from node_core.host.root import HostRoot
from node_core.values import replace

log = structlog.get_logger(__name__)

CUSTOM = "custom.rules"
MAX_ANNOTATIONS = 128 << 10
"""Bytes. The API server rejects an object with more than 256 KiB of annotations, so half is left for other writers."""
Objects = Mapping[str, Mapping[str, Any]]


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """configured: custom rules, such as `sources.custom` of the config file. custom_dir: the host folder of drop-in files.

    taints: rules may taint this Node. node_feature_labels: NodeFeatures of other programs may label this Node.
    """

    configured: tuple[RuleSet, ...] = ()
    custom_dir: str = CUSTOM_DIR
    policy: OutputPolicy = msgspec.field(default_factory=OutputPolicy)
    taints: bool = False
    node_feature_labels: bool = True


class RuleResults(msgspec.Struct, frozen=True, kw_only=True):
    """custom: results of custom rules. cluster: results of NodeFeatures and NodeFeatureRules, which take precedence over all sources."""

    custom: tuple[CollectorResult, ...]
    cluster: tuple[CollectorResult, ...]


class ObjectInformer(Protocol):
    """See runtime.informers. state: the objects by name; None until the first list."""

    @property
    def state(self) -> Objects | None: ...


class RuleInformers:
    """The NodeFeatureRules of upstream and of OpenShift as one state. Rules of OpenShift have their group in the key."""

    def __init__(self, upstream: ObjectInformer, openshift: ObjectInformer) -> None:
        self._upstream = upstream
        self._openshift = openshift

    @property
    def state(self) -> Objects | None:
        upstream, openshift = self._upstream.state, self._openshift.state
        if upstream is None or openshift is None:
            return None
        return {**upstream, **{_openshift_key(obj["metadata"]): obj for obj in openshift.values()}}


def _openshift_key(metadata: Mapping[str, Any]) -> str:
    """Returns a key that begins with the name, by which rules are sorted."""
    where = ", ".join(part for part in (metadata.get("namespace"), OPENSHIFT_GROUP) if part)
    return f"{metadata['name']} ({where})"


class Rules:
    """Evaluates all rules, once a call. Not thread-safe.

    cluster: the NodeFeatureRules; None if they are not evaluated. others: NodeFeatures of this Node; None if they are not merged.
    """

    def __init__(
        self,
        settings: RuleSettings,
        root: HostRoot,
        reporter: RuleReporter,
        *,
        context: NodeContext,
        cluster: ObjectInformer | None = None,
        others: ObjectInformer | None = None,
    ) -> None:
        self._settings = settings
        self._root = root
        self._reporter = reporter
        self._context = context
        self._cluster = cluster
        self._others = others
        self._files: CustomFiles | None = None
        self._custom_rules = CachedEvaluation(evaluate_custom_rules)
        self._cluster_rules = CachedEvaluation(evaluate)
        self._decoded: dict[str, _Decoded] = {}
        self._logged: frozenset[str] = frozenset()

    def evaluate(self, features: Features, unavailable_features: frozenset[str] = frozenset()) -> RuleResults:
        """unavailable_features: names, in lower case, of features that could not be read, or only in part."""
        custom = self._evaluate_custom(features, unavailable_features)
        merged = self._merge(features)
        objects = self._cluster.state if self._cluster else None
        cluster = self._evaluate_cluster(merged.features if merged else None, objects, unavailable_features)
        excess = find_excess_annotations(custom, cluster)
        present = (merged.features if merged else features).names
        unknown = _unknown_feature_problems(present, custom, cluster, are_merged=self._others is not None)
        problems = (*custom.problems, *cluster.problems, *_excess_problems(excess, custom, cluster), *unknown)
        self._reporter.report((*problems, *self._disallowed_taints(custom, cluster)), objects or {})
        self._reporter.report_readiness(waiting_for=self._unlisted_kind())
        node_features = CollectorResult(name="node-features", labels=merged.labels if merged else None, catch_all=True)
        files = self._files or CustomFiles()
        is_listed = self._cluster is None or not (objects is None or merged is None)
        lost = [each.salvaged for each in self._decoded.values() if each.salvaged is not None]
        return RuleResults(
            custom=_results(CUSTOM, custom, excess, files.salvaged, is_known=not files.has_unknown_rules),
            cluster=(node_features, *_results("rules", cluster, excess, lost, is_known=is_listed)),
        )

    def _unlisted_kind(self) -> str | None:
        informers = {"NodeFeatureRules": self._cluster, "NodeFeatures": self._others}
        return next((kind for kind, each in informers.items() if each is not None and each.state is None), None)

    def _evaluate_custom(self, features: Features, unavailable_features: frozenset[str]) -> Outcome:
        settings = self._settings
        self._files = read_custom_dir(self._root, self._files, settings.custom_dir)
        sets = (*settings.configured, *self._files.sets)
        outcome = self._custom_rules.run(sets, self._evaluation_context(features, unavailable_features))
        return replace(outcome, problems=(*outcome.problems, *self._files.problems))

    def _evaluate_cluster(
        self, features: Features | None, objects: Objects | None, unavailable_features: frozenset[str]
    ) -> Outcome:
        """Returns the outcome of NodeFeatureRules. features: None until NodeFeatures are listed. objects: None until they are listed."""
        if objects is None or features is None:
            return self._cluster_rules.last or Outcome()
        self._decoded = {name: _decode(name, obj, self._decoded.get(name)) for name, obj in objects.items()}
        decoded = self._decoded.values()
        sets = tuple(each.rules for each in decoded if each.rules is not None)
        outcome = self._cluster_rules.run(sets, self._evaluation_context(features, unavailable_features))
        invalid = tuple(each.problem for each in decoded if each.problem is not None)
        return replace(outcome, problems=(*outcome.problems, *invalid))

    def _evaluation_context(self, features: Features, unavailable_features: frozenset[str]) -> EvaluationContext:
        return EvaluationContext(
            features=features, policy=self._settings.policy, unavailable_features=unavailable_features
        )

    def _disallowed_taints(self, *outcomes: Outcome) -> tuple[RuleProblem, ...]:
        if self._settings.taints:
            return ()
        why = "rules may not taint this node; --enable-taints allows it"
        taints = (
            (id_, taint) for outcome in outcomes for id_, each in outcome.outputs.items() for taint in each.taints
        )
        return tuple(
            RuleProblem(set_name=id_.set_name, rule=id_.shown, key=taint.key, why=why) for id_, taint in taints
        )

    def _merge(self, features: Features) -> MergeResult | None:
        """Merges the NodeFeatures of this Node. Returns None until NodeFeatures are listed."""
        if self._others is None:
            return MergeResult(features=features, labels={})
        if self._others.state is None:
            return None

        def resolve_label(key: str, value: str, attributes: Mapping[str, Attributes]) -> str:
            return validate_label(key, resolve(value, attributes), self._settings.policy)

        objects = self._others.state.values()
        merged = merge_node_features(features, objects, context=self._context, resolve_label=resolve_label)
        self._log_refused(f"{each.object}: {each.where}: {each.why}" for each in merged.problems)
        return merged if self._settings.node_feature_labels else replace(merged, labels={})

    def _log_refused(self, problems: Iterable[str]) -> None:
        """Logs each problem of NodeFeatures once, and again if the problem disappears and returns."""
        current = frozenset(problems)
        for problem in sorted(current - self._logged):
            log.warning("node_feature_refused", why=problem)
        self._logged = current


def _results(
    name: str, outcome: Outcome, excess: frozenset[str], salvaged: Iterable[Rule], *, is_known: bool
) -> tuple[CollectorResult, ...]:
    """Returns one result for each rule whose outputs are not completely known, and then one result with all known outputs.

    excess: annotations that do not fit on the Node. salvaged: see salvage_rule. is_known: False if some rules cannot be read; any
    published output may belong to them.
    """
    unknown, salvaged = outcome.unknown, tuple(salvaged)
    incomplete = {**unknown, **dependent_rules(outcome, salvaged, is_known=is_known)}
    known = CollectorResult(
        name=name,
        labels=outcome.labels,
        annotations={key: value for key, value in outcome.annotations.items() if key not in excess},
        taints={taint.identity: taint for taint in outcome.taints},
        extended_resources=outcome.extended_resources,
        declared=declared_names(rule for id_, rule in outcome.rules.items() if id_ not in unknown),
    )
    unreadable = () if is_known else (failed_result(f"{name}.unknown"),)
    lost = (_unknown_rule(f"{name}/{rule.name}", rule) for rule in salvaged)
    failed = (_unknown_rule(f"{name}/{id_.set_name}/{id_.shown}", rule) for id_, rule in incomplete.items())
    return (*unreadable, *lost, *failed, known)


class CachedEvaluation:
    """Evaluates rules again only if their input has changed. Evaluation is pure."""

    def __init__(self, evaluate: Callable[[tuple[RuleSet, ...], EvaluationContext], Outcome]) -> None:
        self.last: Outcome | None = None
        self._evaluate = evaluate
        self._inputs: object = None

    def run(self, sets: tuple[RuleSet, ...], context: EvaluationContext) -> Outcome:
        if self.last is None or (sets, context) != self._inputs:
            self.last = self._evaluate(sets, replace(context, previous=self.last))
            self._inputs = (sets, context)
        return self.last


class _Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded NodeFeatureRule. rules: the last valid rules; None if there never were valid rules. salvaged: in place of such rules."""

    version: object
    rules: RuleSet | None
    problem: RuleProblem | None = None
    salvaged: Rule | None = None


def _decode(name: str, obj: Mapping[str, Any], previous: _Decoded | None) -> _Decoded:
    """Decodes an object. Returns `previous` if the object has not changed."""
    version = (obj["metadata"].get("uid"), obj["metadata"].get("generation"))
    if previous is not None and previous.version == version:
        return previous
    try:
        return _Decoded(version=version, rules=replace(decode_rule_set(obj, name), name=name))
    except SettingsError as error:
        problem = RuleProblem(set_name=name, rule="", why="; ".join(error.problems))
        rules = previous.rules if previous else None
        salvaged = None if rules else salvage_rule(name, json.dumps(obj.get("spec"), default=str))
        return _Decoded(version=version, rules=rules, problem=problem, salvaged=salvaged)


def find_excess_annotations(*outcomes: Outcome) -> frozenset[str]:
    """Returns the keys of the annotations that do not fit into MAX_ANNOTATIONS bytes.

    The annotations of rules with few bytes fit first, so a rule with too many annotations affects no other rule.
    """
    merged = {key: value for outcome in outcomes for key, value in outcome.annotations.items()}
    sizes = {key: len(key.encode()) + len(value.encode(errors="surrogatepass")) for key, value in merged.items()}
    rules = [outputs.annotations for outcome in outcomes for outputs in outcome.outputs.values() if outputs.annotations]
    rules.sort(key=lambda keys: sum(map(sizes.__getitem__, keys)))
    fitting, left = set[str](), MAX_ANNOTATIONS
    for key in (key for keys in rules for key in sorted(keys)):
        if key not in fitting and sizes[key] <= left:
            left -= sizes[key]
            fitting.add(key)
    return frozenset(merged.keys() - fitting)


def _excess_problems(excess: frozenset[str], *outcomes: Outcome) -> tuple[RuleProblem, ...]:
    why = f"the annotations of all rules together exceed {MAX_ANNOTATIONS} bytes, the maximum on a Node"
    keys = ((id_, key) for outcome in outcomes for id_, each in outcome.outputs.items() for key in each.annotations)
    return tuple(
        RuleProblem(set_name=id_.set_name, rule=id_.shown, key=key, why=why) for id_, key in keys if key in excess
    )


def _unknown_feature_problems(present: Iterable[str], *outcomes: Outcome, are_merged: bool) -> tuple[RuleProblem, ...]:
    """Returns a warning for each feature that cannot exist. are_merged: NodeFeatures of other programs may provide a feature."""
    return tuple(
        RuleProblem(set_name=id_.set_name, rule=id_.shown, why=describe_unknown(name), is_warning=True)
        for outcome in outcomes
        for id_, rule in outcome.rules.items()
        for name in unknown_features(rule, present)
        if not (are_merged and is_open(name))
    )


def _unknown_rule(name: str, rule: Rule) -> CollectorResult:
    """Returns the result of a rule with unknown outputs. The rule owns the names that it declares, and any label if it has a template."""
    return failed_result(name, declared_names((rule,)), catch_all=bool(rule.labels_template))
