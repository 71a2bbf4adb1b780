"""A taint that keeps pods off the Node until its GPUs are registered. PURE.

When the GPUs are registered, the plugin removes the taint, even if the kubelet set the taint (--register-with-taints). The plugin sets the
taint only on a Node that never had GPUs, so a restart of the plugin does not affect pods.
"""

from node_core.domain.labels import key_problem, value_problem
from node_core.domain.node import NodeView
from node_core.domain.taints import EFFECTS, Taint, TaintPlan, parse_taint, render_taint

STARTUP_TAINT_ANNOTATION = "gpunode.nvidia.com/startup-taint"
"""The annotation that marks the taint as set by the plugin."""
RESOURCE_PREFIX = "nvidia.com/"


def parse_startup_taint(text: str) -> Taint:
    """`key[=value]:Effect`. Raises ValueError with the reason."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    if not key or effect not in EFFECTS:
        raise ValueError(
            f"{text!r} is not a taint. Use key:Effect or key=value:Effect; the effect is one of {', '.join(EFFECTS)}"
        )
    if problem := key_problem(key) or value_problem(value):
        raise ValueError(f"{text!r} is not a taint: {problem}")
    return Taint(key=key, value=value, effect=effect)


def had_gpus(view: NodeView) -> bool:
    """Whether a device plugin has already registered GPUs on this Node."""
    return any(resource.startswith(RESOURCE_PREFIX) for resource in view.capacity)


def plan_startup_taint(view: NodeView, taint: Taint, *, is_desired: bool) -> TaintPlan | None:
    """Plans the taints of the Node; None if no change is necessary. Other taints are retained in their order."""
    others = tuple(each for each in view.taints if parse_taint(each).identity != taint.identity)
    if is_desired == (len(others) < len(view.taints)):
        return None
    added = (render_taint(taint),) if is_desired else ()
    return TaintPlan(taints=(*others, *added), owned=frozenset({taint} if is_desired else ()))
