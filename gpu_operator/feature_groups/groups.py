"""Evaluates groups again for the Nodes that have changed, and all Nodes for a group that has changed. PURE, with a cache.

A Node on which a rule fails remains in the group, or outside: an error changes no membership.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gpu_operator.feature_groups.evaluate import Verdict, evaluate, read_features
from gpu_operator.feature_groups.facts import NodeFacts, combine_facts
from gpu_operator.feature_groups.values import FeatureValue, ValuePool
from gpu_operator.feature_groups.views import GroupView, NodeFeatureView, NodeMetadata
from nfd_lite.rules.work import WorkBudget, WorkError, WorkLimits

LIMITS = WorkLimits(total=20_000_000, per_object=1_000_000)
"""total: maximum steps of one group in one pass. per_object: on one Node."""
_MIN_CACHE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """members: sorted names of Nodes. verdicts: of the Nodes whose result is not known, or on which a rule failed. stopped: why the
    group is not evaluated any more; members are then those of the present status."""

    members: tuple[str, ...]
    verdicts: Mapping[str, Verdict]
    stopped: str | None = None


class NodeTable:
    """The facts of all Nodes. namespace: that of the controller."""

    def __init__(self, namespace: str) -> None:
        self.facts: dict[str, NodeFacts] = {}
        self._namespace = namespace
        self._pool = ValuePool()
        self._nodes: Mapping[str, NodeMetadata] = {}
        self._objects: Mapping[str, NodeFeatureView] = {}
        self._by_node: dict[str, dict[str, NodeFeatureView]] = {}

    def update(self, nodes: Mapping[str, NodeMetadata], objects: Mapping[str, NodeFeatureView]) -> set[str]:
        """Returns the names of the Nodes that have changed, have been added or are gone. objects: NodeFeatures by `namespace/name`."""
        touched = {name for name in self._nodes.keys() | nodes.keys() if self._nodes.get(name) != nodes.get(name)}
        touched |= self._update_objects(objects)
        self._nodes = nodes
        return {name for name in touched if self._update_node(name)}

    def _update_objects(self, objects: Mapping[str, NodeFeatureView]) -> set[str]:
        touched = set[str]()
        for key in self._objects.keys() | objects.keys():
            before, now = self._objects.get(key), objects.get(key)
            if before is now:
                continue
            if before is not None:
                self._by_node.get(before.node_name, {}).pop(key, None)
                touched.add(before.node_name)
            if now is not None:
                self._by_node.setdefault(now.node_name, {})[key] = now
                touched.add(now.node_name)
        self._objects = objects
        return touched

    def _update_node(self, name: str) -> bool:
        """Returns whether the facts have changed."""
        node, objects = self._nodes.get(name), self._by_node.get(name, {})
        if not objects:
            self._by_node.pop(name, None)
        if node is None:
            return self.facts.pop(name, None) is not None
        facts = combine_facts(name, node, objects.values(), namespace=self._namespace, pool=self._pool)
        if facts == self.facts.get(name):
            return False
        self.facts[name] = facts
        return True


class GroupEvaluation:
    """The verdicts of one group. A change of the spec needs a new object."""

    def __init__(self, group: GroupView, limits: WorkLimits = LIMITS) -> None:
        self.version = group.version
        self._rules = group.rules
        self._limits = limits
        self._reads = read_features(group.rules)
        self._cache: dict[tuple[FeatureValue | None, ...], Verdict] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._waiting: set[str] | None = None
        self._stopped: str | None = None

    def update(self, facts: Mapping[str, NodeFacts], changed: Collection[str]) -> bool:
        """Evaluates the changed Nodes; the first time, all Nodes. Returns whether a result has changed. changed: also Nodes that are gone.

        A group that exceeds its limit is not evaluated any more.
        """
        if self._stopped is not None:
            return False
        names = facts.keys() if self._waiting is None else changed
        self._waiting = set()
        budget = WorkBudget(self._limits)
        has_changed = False
        try:
            for name in names:
                has_changed |= self._update_node(name, facts.get(name), budget)
        except WorkError as error:
            self.stop(f"{error.message}. Use fewer or simpler rules")
            return True
        if len(self._cache) > 2 * len(facts) + _MIN_CACHE:
            self._cache.clear()
        return has_changed

    def stop(self, why: str) -> None:
        """Ends the evaluation of this spec: it would fail again."""
        self._stopped = why

    def result(self, group: GroupView) -> GroupResult:
        """group: its present state, whose status contains the present members."""
        unclear = {name: each for name, each in self._verdicts.items() if not each.is_member and _is_unclear(each)}
        if self._stopped is not None:
            return GroupResult(members=group.status.nodes, verdicts=unclear, stopped=self._stopped)
        present = set(group.status.nodes)
        members = {
            name for name, each in self._verdicts.items() if each.is_member or (each.problems and name in present)
        }
        return GroupResult(members=tuple(sorted(members)), verdicts=unclear)

    def _update_node(self, name: str, facts: NodeFacts | None, budget: WorkBudget) -> bool:
        if facts is None:
            return self._verdicts.pop(name, None) is not None
        key = tuple(map(facts.find, self._reads))
        verdict = self._cache.get(key)
        if verdict is None:
            budget.start_object()
            verdict = self._cache[key] = evaluate(self._rules, dict(zip(self._reads, key, strict=True)), budget)
        before = self._verdicts.get(name)
        self._verdicts[name] = verdict
        return verdict != before


def _is_unclear(verdict: Verdict) -> bool:
    return bool(verdict.unknown or verdict.problems)


def count_problems(verdicts: Mapping[str, Verdict]) -> Counter[tuple[str, str]]:
    """Returns on how many Nodes a rule failed. Keys: rule, reason."""
    return Counter(problem for each in verdicts.values() for problem in each.problems)


def count_unknown(verdicts: Mapping[str, Verdict]) -> Counter[str]:
    """Returns on how many Nodes a feature is not known that a group needs."""
    return Counter(feature for each in verdicts.values() for feature in each.unknown)
