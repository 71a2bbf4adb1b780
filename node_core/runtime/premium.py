"""Premium taints in an agent's life: kept on the Node beside the labels, by the same thread and with the same retries.

A look that failed decides nothing, so the taints stay. What is ours is written on the Node, so a rule that is gone takes its taint
along, also after a restart.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from node_core.domain.inventory import Inventory
from node_core.domain.labels import Collected, Labels
from node_core.domain.node import NodeView
from node_core.domain.premium import PremiumRule, evaluate, premium_labels, unseen_labels, wanted_taints
from node_core.domain.taints import (
    TAINTS_ANNOTATION,
    Taint,
    TaintPlan,
    WantedTaints,
    parse_owned,
    plan_taints,
    taken_places,
)
from node_core.errors import KubeError
from node_core.publish.api import Publisher

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""How often one write is planned anew because somebody else changed the Node meanwhile."""


class TaintApi(Protocol):
    """What we need of the Kubernetes API; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...

    def set_taints(self, manager: str, plan: TaintPlan, seen: NodeView) -> NodeView: ...


class TaintKeeper:
    """Our taints among those of others. manager: the field manager, for what people see in managedFields."""

    def __init__(self, api: TaintApi, manager: str) -> None:
        self._api = api
        self._manager = manager
        self._live: NodeView | None = None
        self._blocked: tuple[Taint, ...] = ()

    def observe(self, view: NodeView) -> None:
        """The watched Node; a state from before our own last write is passed over."""
        if self._live is None or view.uid != self._live.uid or not view.is_older_than(self._live):
            self._live = view

    def is_current(self, wanted: WantedTaints) -> bool:
        """Whether nothing has to be written; so it is while the Node is not known."""
        return self._live is None or self._plan(self._live, wanted) is None

    def apply(self, wanted: WantedTaints) -> bool:
        """Makes these our only taints; whether that took a write. Reads the Node when none was observed. Raises KubeError."""
        live = self._live or self._read()
        wrote = False
        for attempt in range(1, ATTEMPTS + 1):
            plan = self._plan(live, wanted)
            if plan is None:
                break
            try:
                self._live = self._api.set_taints(self._manager, plan, live)
            except KubeError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
                live = self._read()
            else:
                wrote = True
                log.info("taints_written", agent=self._manager, taints=[str(taint) for taint in sorted(plan.owned)])
                break
        self._say_blocked(self._live or live, wanted)
        return wrote

    def _read(self) -> NodeView:
        self._live = self._api.get()
        return self._live

    def _plan(self, live: NodeView, wanted: WantedTaints) -> TaintPlan | None:
        return plan_taints(live.taints, wanted, _owned(live))

    def _say_blocked(self, live: NodeView, wanted: WantedTaints) -> None:
        blocked = taken_places(live.taints, wanted, _owned(live))
        if blocked != self._blocked:
            self._blocked = blocked
            for taint in blocked:
                log.warning("taint_not_set", taint=str(taint), why="somebody else's taint has this key and effect")


def _owned(view: NodeView) -> frozenset[Taint]:
    return parse_owned(view.annotations.get(TAINTS_ANNOTATION, ""))


class Premium:
    """The rules, and what they made of the last look that worked. wanted: None until there was one."""

    def __init__(self, rules: Sequence[PremiumRule] = ()) -> None:
        self.wanted: WantedTaints | None = None
        self._rules = tuple(rules)
        self._matched: tuple[str, ...] = ()

    def look(self, inventory: Inventory) -> tuple[Collected, ...]:
        """The labels of the rules, and with them the taints for the next publishing."""
        verdict = evaluate(self._rules, inventory)
        if verdict.matched != self._matched:
            self._matched = verdict.matched
            log.info("premium_rules_hold", rules=list(verdict.matched))
        self.wanted = wanted_taints(verdict, inventory)
        return premium_labels(self._rules, verdict, inventory)

    def unseen(self) -> tuple[Collected, ...]:
        """For a look that failed: labels and taints stay."""
        return unseen_labels(self._rules)


class TaintingPublisher:
    """Publishes labels wherever `labels` does, and keeps the taints of `premium` on the Node."""

    def __init__(self, labels: Publisher, keeper: TaintKeeper, premium: Premium) -> None:
        self._labels = labels
        self._keeper = keeper
        self._premium = premium

    def known(self) -> Labels | None:
        return self._labels.known()

    def observe(self, view: NodeView) -> None:
        self._labels.observe(view)
        self._keeper.observe(view)

    def refresh(self) -> None:
        self._labels.refresh()

    def is_current(self, labels: Labels) -> bool:
        wanted = self._premium.wanted
        return self._labels.is_current(labels) and (wanted is None or self._keeper.is_current(wanted))

    def publish(self, labels: Labels) -> bool:
        """Taints first, so that no pod comes by a label before the taint is there. Labels go out also when taints cannot."""
        refused: KubeError | None = None
        wrote = False
        try:
            wrote = self._premium.wanted is not None and self._keeper.apply(self._premium.wanted)
        except KubeError as error:
            refused = error
        wrote = self._labels.publish(labels) or wrote
        if refused is not None:
            raise refused
        return wrote
