"""The devices of the simulated kubelet and their allocations. No I/O.

Source: Kubernetes documentation, Device Plugins, and the output of `kubectl describe node` in each state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GRACE_SECONDS = 300.0
"""How long the Node's status contains a resource after its plugin has ended."""

Owner = tuple[str, str]
"""Pod UID and container name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """The devices of one resource. capacity: all devices. allocatable: healthy devices."""

    capacity: int
    allocatable: int


@dataclass(slots=True)
class _Devices:
    healthy: frozenset[str] = frozenset()
    unhealthy: frozenset[str] = frozenset()
    ended_since: float | None = None


class AdmissionError(Exception):
    """The kubelet cannot allocate the devices of a Pod. The Pod becomes Failed with `reason`."""

    reason = "UnexpectedAdmissionError"

    def __init__(self, why: str) -> None:
        super().__init__(f"Allocate failed due to {why}, which is unexpected")


@dataclass(slots=True)
class DeviceTable:
    """The devices by resource, and the allocated device ids of each container. Not thread-safe."""

    allocated: dict[Owner, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    _devices: dict[str, _Devices] = field(default_factory=dict)

    def has_resource(self, resource: str) -> bool:
        return resource in self._devices

    def restore_resources(self, resources: Iterable[str]) -> None:
        """Sets the resources of the checkpoint. They have no devices until their plugins register again."""
        self._devices = {resource: _Devices() for resource in resources}

    def set_devices(self, resource: str, health: Mapping[str, bool]) -> None:
        """Sets the device list of a plugin. health: device id -> healthy."""
        healthy = frozenset(each for each, is_healthy in health.items() if is_healthy)
        self._devices[resource] = _Devices(healthy, frozenset(health) - healthy)

    def mark_plugin_ended(self, resource: str, now: float) -> None:
        """Marks all devices of a resource unhealthy."""
        old = self._devices.get(resource, _Devices())
        self._devices[resource] = _Devices(frozenset(), old.healthy | old.unhealthy, now)

    def resources(self, now: float) -> dict[str, Resource]:
        """Returns the resources for the Node's status. Removes resources whose plugin ended more than GRACE_SECONDS ago."""
        for name in [name for name, devices in self._devices.items() if _is_over(devices, now)]:
            del self._devices[name]
        return {
            name: Resource(capacity=len(devices.healthy | devices.unhealthy), allocatable=len(devices.healthy))
            for name, devices in sorted(self._devices.items())
        }

    def available(self, resource: str, count: int) -> tuple[str, ...]:
        """Returns the healthy device ids that are not allocated. Raises AdmissionError for fewer than `count`."""
        devices = self._devices[resource]
        if not devices.healthy:
            raise AdmissionError(f"no healthy devices present; cannot allocate unhealthy devices {resource}")
        allocated = {each for resources in self.allocated.values() for each in resources.get(resource, ())}
        available = tuple(sorted(devices.healthy - allocated))
        if len(available) < count:
            raise AdmissionError(
                f"requested number of devices unavailable for {resource}. Requested: {count}, Available: {len(available)}"
            )
        return available

    def allocate(self, owner: Owner, resource: str, ids: Sequence[str]) -> None:
        self.allocated.setdefault(owner, {})[resource] = tuple(ids)

    def release(self, pod_uid: str) -> None:
        self.allocated = {owner: resources for owner, resources in self.allocated.items() if owner[0] != pod_uid}


def _is_over(devices: _Devices, now: float) -> bool:
    return devices.ended_since is not None and now - devices.ended_since > GRACE_SECONDS


def choose(available: Sequence[str], preferred: Sequence[str], count: int) -> tuple[str, ...]:
    """Returns `count` devices: first the preferred ones that are available, then other available ones. len(available) >= count."""
    wanted = [each for each in dict.fromkeys(preferred) if each in set(available)]
    return tuple(dict.fromkeys([*wanted, *available]))[:count]


def name_problem(resource: str) -> str | None:
    """Returns why the kubelet refuses the name of a resource, or None. Source: Kubernetes, extended resources."""
    domain, slash, name = resource.partition("/")
    if not slash or domain == "kubernetes.io" or domain.endswith(".kubernetes.io") or domain.startswith("requests."):
        return f"the ResourceName {resource!r} is invalid"
    label = name.replace("-", "").replace(".", "").replace("_", "")
    if not (label.isascii() and label.isalnum() and name[0].isalnum() and name[-1].isalnum() and len(name) <= 63):
        return f"the ResourceName {resource!r} is invalid"
    return None
