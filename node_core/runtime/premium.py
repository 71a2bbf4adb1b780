"""Premium taints in an agent's life: kept on the Node beside the labels, by the same thread and with the same retries.

A look that failed decides nothing, so the taints stay. What is ours is written on the Node, so a rule that is gone takes its taint
along, also after a restart.
"""

from collections.abc import Sequence

import structlog

from node_core.domain.inventory import Inventory
from node_core.domain.labels import Collected
from node_core.domain.outputs import NodeOutputs
from node_core.domain.premium import PremiumRule, evaluate, premium_labels, unseen_labels, wanted_taints
from node_core.domain.taints import WantedTaints

log = structlog.get_logger(__name__)


class Premium:
    """The rules, and what they made of the last look that worked. wanted: None until there was one."""

    def __init__(self, rules: Sequence[PremiumRule] = ()) -> None:
        self.wanted: WantedTaints | None = None
        self._rules = tuple(rules)
        self._matched: tuple[str, ...] = ()

    def outputs(self) -> NodeOutputs | None:
        """What is wanted beside labels."""
        if self.wanted is None:
            return None
        return NodeOutputs(taints=self.wanted.taints, partial=self.wanted.partial)

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
