"""Taints on our own Node, beside those of others. An annotation of the Node says which are ours, also to the next process."""

from typing import Protocol

import structlog

from node_core.domain.node import NodeView
from node_core.domain.taints import (
    TAINTS_ANNOTATION,
    Taint,
    TaintPlan,
    WantedTaints,
    parse_owned,
    plan_taints,
    taken_places,
)
from node_core.publish.keeper import Keeper

log = structlog.get_logger(__name__)


class TaintApi(Protocol):
    """What we need of the Kubernetes API; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...

    def set_taints(self, manager: str, plan: TaintPlan, seen: NodeView, *, claim: str) -> NodeView: ...


class TaintKeeper(Keeper[WantedTaints, TaintPlan]):
    """manager: the field manager, for what people see in managedFields. claim: the annotation for ours, one for each agent."""

    def __init__(self, api: TaintApi, manager: str, *, claim: str = TAINTS_ANNOTATION) -> None:
        super().__init__()
        self._api = api
        self._manager = manager
        self._claim = claim
        self._blocked: tuple[Taint, ...] = ()

    def _get(self) -> NodeView:
        return self._api.get()

    def _plan(self, live: NodeView, wanted: WantedTaints) -> TaintPlan | None:
        return plan_taints(live.taints, wanted, self._owned(live))

    def _write(self, plan: TaintPlan, live: NodeView) -> NodeView:
        written = self._api.set_taints(self._manager, plan, live, claim=self._claim)
        log.info("taints_written", agent=self._manager, taints=[str(taint) for taint in sorted(plan.owned)])
        return written

    def _tell(self, live: NodeView, wanted: WantedTaints) -> None:
        blocked = taken_places(live.taints, wanted, self._owned(live))
        if blocked != self._blocked:
            self._blocked = blocked
            for taint in blocked:
                log.warning("taint_not_set", taint=str(taint), why="somebody else's taint has this key and effect")

    def _owned(self, view: NodeView) -> frozenset[Taint]:
        return parse_owned(view.annotations.get(self._claim, ""))
