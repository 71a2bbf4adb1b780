"""Resources of a manifest that kube-apiserver refuses. PURE. Source: Kubernetes documentation, Extended Resources."""

from collections.abc import Iterator

from gpunode.why.pod import PodDetails
from node_core.scheduling.objects import Container
from node_core.scheduling.requests import Amounts, is_extended, parse_amounts

SHARE = "A container gets whole devices. To share GPUs, use time-slicing, MPS or MIG"


def list_refusals(pod: PodDetails) -> tuple[str, ...]:
    """Returns why kube-apiserver would refuse the Pod; empty if it would not. The quantities are valid."""
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    problems = [f"Container {each.name}: {problem}." for each in containers for problem in _problems(each)]
    return tuple(problems if pod.spec.containers else ["The pod has no containers."])


def _problems(container: Container) -> Iterator[str]:
    limits, requested = parse_amounts(container.resources.limits), parse_amounts(container.resources.requests)
    for name in sorted({*limits, *requested}):
        if is_extended(name):
            yield from _extended_problems(name, limits, requested, container)
        elif requested.get(name, 0) > limits.get(name, requested.get(name, 0)):
            yield f"requests more {name} than its limit. Increase the limit, or decrease the request"


def _extended_problems(name: str, limits: Amounts, requested: Amounts, container: Container) -> Iterator[str]:
    written = container.resources.limits.get(name, container.resources.requests.get(name))
    if any(amounts[name].denominator != 1 for amounts in (limits, requested) if name in amounts):
        yield f"{name}: {written} is not a whole number. {SHARE}"
    elif name not in limits:
        yield f"{name} has a request and no limit. Write the amount in `limits`; the request is then not needed"
    elif requested.get(name, limits[name]) != limits[name]:
        request, limit = container.resources.requests[name], container.resources.limits[name]
        yield f"{name}: the request {request} and the limit {limit} must be equal. Write only the limit"
