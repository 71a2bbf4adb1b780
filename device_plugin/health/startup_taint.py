"""A taint that keeps pods off the Node until its GPUs are registered. Then it goes, whoever has set it: also the kubelet may have.

It is set by us only on a Node that never had GPUs to offer, so a restart of ours keeps no pod away.
"""

from device_plugin.health.news import Obj
from node_core.domain.node import NodeView
from node_core.domain.taints import EFFECTS, Taint, TaintPlan, render_taint, taint_of
from node_core.publish.keeper import Keeper
from node_core.publish.taints import TaintApi

CLAIM = "gpunode.nvidia.com/startup-taint"
"""The annotation that says that the taint is ours."""
OURS = "nvidia.com/"


def parse_startup_taint(text: str) -> Taint:
    """`key[=value]:Effect`. Raises ValueError with the reason."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    if not key or effect not in EFFECTS:
        raise ValueError(
            f"{text!r} is no taint: write key:Effect or key=value:Effect, with one of {', '.join(EFFECTS)}"
        )
    return Taint(key=key, value=value, effect=effect)


def had_gpus(view: NodeView) -> bool:
    """Whether the kubelet has had GPUs from a device plugin on this Node."""
    return any(resource.startswith(OURS) for resource in view.capacity)


def plan_startup_taint(view: NodeView, taint: Taint, *, is_wanted: bool) -> TaintPlan | None:
    """None where the Node is as it should be. Taints of others stay as they are and in their order."""
    others: tuple[Obj, ...] = tuple(each for each in view.taints if taint_of(each).place != taint.place)
    if is_wanted == (len(others) < len(view.taints)):
        return None
    added = (render_taint(taint),) if is_wanted else ()
    return TaintPlan(taints=(*others, *added), owned=frozenset({taint} if is_wanted else ()))


class StartupTaint(Keeper[bool, TaintPlan]):
    """agent: the field manager."""

    def __init__(self, api: TaintApi, agent: str, taint: Taint) -> None:
        super().__init__()
        self._api, self._agent, self._taint = api, agent, taint

    def _get(self) -> NodeView:
        return self._api.get()

    def _plan(self, live: NodeView, wanted: bool) -> TaintPlan | None:
        return plan_startup_taint(live, self._taint, is_wanted=wanted)

    def _write(self, plan: TaintPlan, live: NodeView) -> NodeView:
        return self._api.set_taints(self._agent, plan, live, claim=CLAIM)

    def _tell(self, live: NodeView, wanted: bool) -> None:
        """Nobody is in the way: a taint of this key and effect is this one."""
