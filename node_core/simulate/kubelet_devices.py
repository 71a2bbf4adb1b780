"""What the stand-in kubelet knows of devices and who has them. No I/O.

Source: Kubernetes documentation, Device Plugins; what `kubectl describe node` shows in each state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GRACE_SECONDS = 300.0
"""How long the capacity of a resource whose plugin is gone is kept."""

Owner = tuple[str, str]
"""Pod UID and container name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How many devices the Node has of a resource, and how many of them are healthy."""

    capacity: int
    allocatable: int


@dataclass(slots=True)
class _Devices:
    healthy: frozenset[str] = frozenset()
    unhealthy: frozenset[str] = frozenset()
    gone_since: float | None = None


class AdmissionError(Exception):
    """The Pod cannot have its devices; the kubelet then makes it Failed with the reason UnexpectedAdmissionError."""

    reason = "UnexpectedAdmissionError"

    def __init__(self, why: str) -> None:
        super().__init__(f"Allocate failed due to {why}, which is unexpected")


@dataclass(slots=True)
class DeviceTable:
    """Devices by resource, and the ids that each container has. Not thread-safe."""

    held: dict[Owner, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    _devices: dict[str, _Devices] = field(default_factory=dict)

    def knows(self, resource: str) -> bool:
        return resource in self._devices

    def expect(self, resources: Iterable[str]) -> None:
        """Resources of before the kubelet's restart: nothing of them is there until their plugins register again."""
        self._devices = {resource: _Devices() for resource in resources}

    def set_devices(self, resource: str, health: Mapping[str, bool]) -> None:
        """A whole list from a plugin: device id -> healthy."""
        healthy = frozenset(each for each, is_healthy in health.items() if is_healthy)
        self._devices[resource] = _Devices(healthy, frozenset(health) - healthy)

    def plugin_gone(self, resource: str, now: float) -> None:
        """All devices are unhealthy from now on."""
        old = self._devices.get(resource, _Devices())
        self._devices[resource] = _Devices(frozenset(), old.healthy | old.unhealthy, now)

    def resources(self, now: float) -> dict[str, Resource]:
        """What goes into the Node's status. Resources whose plugins are gone for too long are forgotten."""
        for name in [name for name, devices in self._devices.items() if _is_over(devices, now)]:
            del self._devices[name]
        return {
            name: Resource(capacity=len(devices.healthy | devices.unhealthy), allocatable=len(devices.healthy))
            for name, devices in sorted(self._devices.items())
        }

    def available(self, resource: str, count: int) -> tuple[str, ...]:
        """The ids from which `count` may be chosen. Raises AdmissionError when there are too few."""
        devices = self._devices[resource]
        if not devices.healthy:
            raise AdmissionError(f"no healthy devices present; cannot allocate unhealthy devices {resource}")
        taken = {each for grant in self.held.values() for each in grant.get(resource, ())}
        free = tuple(sorted(devices.healthy - taken))
        if len(free) < count:
            raise AdmissionError(
                f"requested number of devices unavailable for {resource}. Requested: {count}, Available: {len(free)}"
            )
        return free

    def hold(self, owner: Owner, resource: str, ids: Sequence[str]) -> None:
        self.held.setdefault(owner, {})[resource] = tuple(ids)

    def release(self, pod_uid: str) -> None:
        self.held = {owner: grant for owner, grant in self.held.items() if owner[0] != pod_uid}


def _is_over(devices: _Devices, now: float) -> bool:
    return devices.gone_since is not None and now - devices.gone_since > GRACE_SECONDS


def choose(available: Sequence[str], preferred: Sequence[str], count: int) -> tuple[str, ...]:
    """What the plugin prefers as far as it is available, filled up with the rest. len(available) >= count."""
    wished = [each for each in dict.fromkeys(preferred) if each in set(available)]
    return tuple(dict.fromkeys([*wished, *available]))[:count]


def name_problem(resource: str) -> str | None:
    """Why the kubelet would not take a resource of that name, or None. Source: Kubernetes, extended resources."""
    domain, slash, name = resource.partition("/")
    if not slash or domain == "kubernetes.io" or domain.endswith(".kubernetes.io") or domain.startswith("requests."):
        return f"the ResourceName {resource!r} is invalid"
    label = name.replace("-", "").replace(".", "").replace("_", "")
    if not (label.isascii() and label.isalnum() and name[0].isalnum() and name[-1].isalnum() and len(name) <= 63):
        return f"the ResourceName {resource!r} is invalid"
    return None
