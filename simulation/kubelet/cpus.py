"""The CPUs of the simulated kubelet with the CPU manager policy `static`. No I/O.

Source: Kubernetes documentation, Control CPU Management Policies on the Node. A container of a Guaranteed pod gets exclusive CPUs if its
CPU request is a whole number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.kubelet.devices import AdmissionError, Owner


@dataclass(slots=True)
class CpuTable:
    """numa_nodes: CPU -> NUMA node, of all CPUs that pods can get; empty for the policy `none`. Not thread-safe."""

    numa_nodes: Mapping[int, int] = field(default_factory=dict)
    allocated: dict[Owner, frozenset[int]] = field(default_factory=dict)

    def available(self) -> frozenset[int]:
        return frozenset(self.numa_nodes).difference(*self.allocated.values())

    def allocate(self, owner: Owner, count: int, numa_node: int | None) -> frozenset[int]:
        """Allocates CPUs, of one NUMA node if `numa_node` is set. Raises AdmissionError for fewer than `count`."""
        if count == 0 or not self.numa_nodes:
            return frozenset()
        suitable = [cpu for cpu in sorted(self.available()) if numa_node in (None, self.numa_nodes[cpu])]
        if len(suitable) < count:
            raise AdmissionError(
                f"not enough cpus available to satisfy request: requested={count}, available={len(suitable)}"
            )
        self.allocated[owner] = frozenset(suitable[:count])
        return self.allocated[owner]

    def release(self, pod_uid: str) -> None:
        self.allocated = {owner: cpus for owner, cpus in self.allocated.items() if owner[0] != pod_uid}

    def state(self) -> dict[str, Any]:
        """Returns the content of the kubelet's file cpu_manager_state, without a checksum."""
        entries: dict[str, dict[str, str]] = {}
        for (pod, container), cpus in self.allocated.items():
            entries.setdefault(pod, {})[container] = _list(cpus)
        return {
            "policyName": "static",
            "defaultCpuSet": _list(self.available()),
            "entries": entries,
            "checksum": 0,
        }


def exclusive_cpus(pod: Mapping[str, Any], container: Mapping[str, Any]) -> int:
    """Returns the number of CPUs that a container gets alone; 0 if the pod is not Guaranteed or the number is not whole."""
    if not all(_is_guaranteed(each) for each in pod["spec"]["containers"]):
        return 0
    cpus = str(container["resources"]["limits"]["cpu"])
    return int(cpus) if cpus.isdecimal() else 0


def _is_guaranteed(container: Mapping[str, Any]) -> bool:
    """The API server sets missing requests to the limits."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    return all(name in limits and requests[name] == limits[name] for name in ("cpu", "memory"))


def _list(cpus: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
