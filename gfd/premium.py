"""Premium rules that another config may replace while gfd runs."""

from node_core.domain.outputs import NodeOutputs
from node_core.domain.premium import PremiumRule
from node_core.runtime.premium import Premium


class PremiumKeeper:
    """What the last rules made of the last look that worked. New rules decide nothing before their first."""

    def __init__(self) -> None:
        self._rules: tuple[PremiumRule, ...] = ()
        self._premium = Premium()

    def by(self, rules: tuple[PremiumRule, ...]) -> Premium:
        """To look with. Rules that stay keep what they found."""
        if rules != self._rules:
            self._rules, self._premium = rules, Premium(rules)
        return self._premium

    def outputs(self) -> NodeOutputs | None:
        """What is wanted beside labels; None: it stays as it is."""
        return self._premium.outputs()
