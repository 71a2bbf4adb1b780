"""The resources that a Pod requests from its Node. PURE.

Source: Kubernetes documentation, Init Containers (resource sharing within containers), Sidecar Containers, Pod Overhead, Pod-level
resources (KEP-2837).
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache

from node_core.domain.quantity import parse_api_quantity
from node_core.scheduling.objects import Container, Pod, Quantity, ResourceRequirements

Amounts = dict[str, Fraction]
"""Resource name -> amount in base units: cores, bytes, devices."""

PODS = "pods"
"""The resource of a Node that limits the number of its Pods. Each Pod needs one."""
SIDECAR = "Always"
"""The restart policy of an init container that runs as long as the Pod."""

DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
"""The prefix of the resource that each DeviceClass has without naming one. Source: KEP-5004."""


def is_extended(resource: str) -> bool:
    """Returns whether the name is an extended resource such as nvidia.com/gpu."""
    return "/" in resource and not resource.partition("/")[0].endswith("kubernetes.io")


def is_counted_in_devices(resource: str) -> bool:
    """Returns whether the name is an extended resource, or that of a DeviceClass."""
    return is_extended(resource) or resource.startswith(DEVICE_CLASS)


def pod_requests(pod: Pod) -> Amounts:
    """Returns what the scheduler reserves for a Pod, including 1 of `pods`. Raises ValueError for an invalid quantity."""
    spec = pod.spec
    total = _largest(_init_phases(spec.init_containers), _running(spec.containers, spec.init_containers))
    total.update(_pod_level(spec.resources, total))
    add(total, parse_amounts(spec.overhead))
    return {PODS: Fraction(1), **total}


def used_by_node(pods: Iterable[Pod]) -> dict[str, Amounts]:
    """Returns Node -> what its Pods request. Finished Pods use nothing. Raises ValueError for an invalid quantity."""
    used: dict[str, Amounts] = {}
    for pod in pods:
        if pod.spec.node_name and not pod.is_finished:
            add(used.setdefault(pod.spec.node_name, {}), pod_requests(pod))
    return used


def container_requests(resources: ResourceRequirements) -> Amounts:
    """Returns the requests of one container. A limit without a request is also the request."""
    return parse_amounts({**resources.limits, **resources.requests})


def parse_amounts(quantities: Mapping[str, Quantity]) -> Amounts:
    """Raises ValueError for an invalid quantity."""
    return {name: _parse(text) for name, text in quantities.items()}


def add(total: Amounts, amounts: Mapping[str, Fraction]) -> None:
    """Adds amounts to a total, in place."""
    for name, amount in amounts.items():
        total[name] = total.get(name, Fraction(0)) + amount


@lru_cache(maxsize=4096, typed=True)
def _parse(text: Quantity) -> Fraction:
    """Thousands of Pods have few different quantities."""
    return parse_api_quantity(text)


def _running(containers: Iterable[Container], init_containers: Iterable[Container]) -> Amounts:
    """Returns what all containers and sidecars need together, after the other init containers have ended."""
    total: Amounts = {}
    for each in (*containers, *(each for each in init_containers if each.restart_policy == SIDECAR)):
        add(total, container_requests(each.resources))
    return total


def _init_phases(init_containers: Iterable[Container]) -> Amounts:
    """Returns the most that an init container needs, together with the sidecars that started before it."""
    sidecars: Amounts = {}
    most: Amounts = {}
    for each in init_containers:
        phase = dict(sidecars)
        add(phase, container_requests(each.resources))
        most = _largest(most, phase)
        if each.restart_policy == SIDECAR:
            sidecars = phase
    return most


def _pod_level(resources: ResourceRequirements, total: Mapping[str, Fraction]) -> Amounts:
    """Returns the requests of the whole Pod, which replace those of its containers.

    A limit of the Pod is a request only if no container requests the resource.
    """
    limits = {name: amount for name, amount in parse_amounts(resources.limits).items() if name not in total}
    return {**limits, **parse_amounts(resources.requests)}


def _largest(left: Mapping[str, Fraction], right: Mapping[str, Fraction]) -> Amounts:
    names = dict.fromkeys((*left, *right))
    return {name: max(left.get(name, Fraction(0)), right.get(name, Fraction(0))) for name in names}
