"""What happens to the pods that use a MIG device that a new layout destroys. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mig_manager.busy_policy import BusyPolicy
from node_core.schema import suggest

ANNOTATION = "nvidia.com/gpunode.mig-busy-policy"
"""An annotation of the Node. Its value takes precedence over the setting."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Holder:
    """A user of a GPU or MIG device. namespace, pod: empty if the user is a process outside of all known pods.

    process: the description of the process; empty for a pod to which the kubelet has given the device.
    """

    namespace: str = ""
    pod: str = ""
    process: str = ""

    @property
    def name(self) -> str:
        return f"pod {self.namespace}/{self.pod}" if self.pod else self.process


Usage = Mapping[str, tuple[Holder, ...]]
"""UUID of a GPU or MIG device -> its users, sorted. A device without users is not in the mapping."""


def select_policy(annotations: Mapping[str, str], default: BusyPolicy) -> tuple[BusyPolicy, str | None]:
    """Returns the policy for a Node, and the problem of its annotation or None. An annotation that is not valid means `wait`."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return default, None
    if text in set(BusyPolicy):
        return BusyPolicy(text), None
    return BusyPolicy.WAIT, f"the annotation {ANNOTATION} of the Node is {text!r}{suggest(text, list(BusyPolicy))}"


def select_busy(usage: Usage, uuids: Iterable[str]) -> Usage:
    """Returns the part of the usage that concerns these devices, sorted."""
    return {uuid: usage[uuid] for uuid in sorted(uuids) if uuid in usage}


def select_pods(busy: Usage) -> tuple[Holder, ...]:
    """Returns each pod once, sorted."""
    return tuple(sorted({each for holders in busy.values() for each in holders if each.pod}))


def describe_busy(busy: Usage) -> str:
    """Returns a clause such as `pod a/b uses MIG-1; process 7 uses MIG-2`."""
    devices: dict[str, list[str]] = {}
    for uuid, holders in busy.items():
        for name in dict.fromkeys(each.name for each in holders):
            devices.setdefault(name, []).append(uuid)
    return "; ".join(f"{name} uses {', '.join(uuids)}" for name, uuids in sorted(devices.items()))
