"""What the API server knows about the GPUs of a Node: labels, condition, resources, and the Pods that have devices. PURE.

The labels are those of gfd and of GPU Feature Discovery. See docs/reference/labels.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gpu_core.domain.node_assessment import Reason
from gpu_operator.upgrade.keys import BUSY, REASON, STATE, State, parse_state
from gpunode.cluster.driver_stage import DriverPod, describe_driver_pod, describe_stage
from gpunode.cluster.objects import DetailedPod
from node_core.domain.conditions import GPU_READY, GPU_VALIDATED
from node_core.domain.labels import SIMULATED
from node_core.domain.quantity import parse_api_quantity
from node_core.scheduling.objects import ApiStruct, Condition, Node, Pod
from node_core.scheduling.requests import pod_requests

GPU_DOMAIN = "nvidia.com/"
GPU = f"{GPU_DOMAIN}gpu"
PRESENT = f"{GPU}.present"
_MODEL_COUNT = re.compile(r"nvidia\.com/gpu\.product\.(.+)\.count")
_MIG_COUNT = re.compile(r"nvidia\.com/mig-(.+)\.count")
_MIG_PRODUCT = re.compile(r"-MIG-(\d+(?:c\.\d+)?g\.\d+gb.*)$")
_SUFFIX = re.compile(r"(-MIG-.*)?(-SHARED)?$")
_READY = "Ready"
NO_RESOURCES = "the Node has GPUs, but no GPU resources"


class Resource(ApiStruct, frozen=True, omit_defaults=False):
    """Devices of one resource name. unhealthy: devices of the capacity that are not allocatable. free: never negative."""

    name: str
    capacity: int
    allocatable: int
    allocated: int = 0

    @property
    def free(self) -> int:
        return max(0, self.allocatable - self.allocated)

    @property
    def unhealthy(self) -> int:
        return max(0, self.capacity - self.allocatable)


class Holder(ApiStruct, frozen=True, omit_defaults=False):
    """A Pod that has devices. resources: resource name -> amount."""

    namespace: str
    name: str
    resources: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


NodePod = Holder | DriverPod
"""What a Pod means for the GPUs of its Node."""


class GpuNode(ApiStruct, frozen=True, omit_defaults=False):
    """One Node. Empty texts, None and empty tuples are unknown or do not apply.

    models: without suffixes for MIG and sharing. product: the label `nvidia.com/gpu.product`. gpus: also those in MIG mode. count: of
    `nvidia.com/gpu.count`. memory_mib: of one device. mig_layout: profile -> MIG devices. sharing: `time-slicing` or `mps`. problems: why
    devices are missing or unhealthy, and why the Node gets no pods, in sentences without a period. taints: `key=value:effect`.
    is_schedulable: the Node is Ready and not cordoned.
    """

    name: str
    models: tuple[str, ...] = ()
    product: str = ""
    gpus: int | None = None
    count: int | None = None
    memory_mib: int | None = None
    mig_strategy: str = ""
    mig_layout: dict[str, int] = msgspec.field(default_factory=dict)
    sharing: str = ""
    replicas: int | None = None
    driver: str = ""
    cuda: str = ""
    resources: tuple[Resource, ...] = ()
    holders: tuple[Holder, ...] = ()
    problems: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()
    has_gpus: bool = False
    is_schedulable: bool = True
    is_simulated: bool = False

    @property
    def capacity(self) -> int:
        return sum(each.capacity for each in self.resources)

    @property
    def allocatable(self) -> int:
        return sum(each.allocatable for each in self.resources)

    @property
    def allocated(self) -> int:
        return sum(each.allocated for each in self.resources)

    @property
    def free(self) -> int:
        return sum(each.free for each in self.resources)

    @property
    def unhealthy(self) -> int:
        return sum(each.unhealthy for each in self.resources)


def describe_node(node: Node, pods: Iterable[NodePod] | None = None) -> GpuNode:
    """Returns the facts of a Node. pods: of this Node; None if they are not known."""
    labels, known = node.labels, tuple(pods or ())
    holders = tuple(each for each in known if isinstance(each, Holder))
    drivers = None if pods is None else tuple(each for each in known if isinstance(each, DriverPod))
    resources = _resources(node, holders)
    return GpuNode(
        name=node.name,
        models=_models(labels),
        product=labels.get(f"{GPU}.product", ""),
        gpus=_gpus(labels),
        count=_number(labels.get(f"{GPU}.count")),
        memory_mib=_number(labels.get(f"{GPU}.memory")),
        mig_strategy=labels.get(f"{GPU_DOMAIN}mig.strategy", ""),
        mig_layout=_mig_layout(labels),
        sharing=_sharing(labels),
        replicas=_number(labels.get(f"{GPU}.replicas")),
        driver=_version(labels, "driver-version", "driver", "rev"),
        cuda=_version(labels, "runtime-version", "runtime"),
        resources=resources,
        holders=holders,
        problems=tuple(_problems(node, resources, drivers)),
        taints=tuple(render_taint(each.key, each.value, each.effect) for each in node.spec.taints),
        has_gpus=has_gpus(node),
        is_schedulable=not node.spec.unschedulable and _not_ready(node) is None,
        is_simulated=SIMULATED in labels,
    )


def render_document(node: GpuNode) -> dict[str, Any]:
    """Returns the JSON of a node, with the numbers that follow from others. All keys are always present."""
    resources = [
        {**msgspec.to_builtins(each), "free": each.free, "unhealthy": each.unhealthy} for each in node.resources
    ]
    return {**msgspec.to_builtins(node), "resources": resources}


def has_gpus(node: Node) -> bool:
    """Whether the Node has GPU resources, or a label states that the host has GPUs."""
    return node.labels.get(PRESENT) == "true" or any(map(is_gpu_resource, node.status.capacity))


def is_gpu_resource(name: str) -> bool:
    return name.startswith(GPU_DOMAIN)


def select_pods(pods: Iterable[DetailedPod]) -> dict[str, list[NodePod]]:
    """Returns Node -> its Pods that have devices and its driver pods, in the order of `pods`. Finished Pods have no devices."""
    found: dict[str, list[NodePod]] = {}
    for pod in pods:
        if pod.spec.node_name and (described := describe_pod(pod)) is not None:
            found.setdefault(pod.spec.node_name, []).append(described)
    return found


def describe_pod(pod: DetailedPod) -> NodePod | None:
    """Returns None for a Pod without devices that is not a driver pod."""
    return describe_driver_pod(pod) or describe_holder(pod)


def describe_holder(pod: Pod) -> Holder | None:
    """Returns the devices that a Pod requests. None: the Pod requests no devices, or has ended."""
    if pod.is_finished or not (devices := requested_devices(pod)):
        return None
    return Holder(namespace=pod.metadata.namespace, name=pod.metadata.name, resources=devices)


def requested_devices(pod: Pod) -> dict[str, int]:
    """Returns resource name -> the number of devices that the Pod requests. A quantity that is not valid counts as none."""
    try:
        requests = pod_requests(pod)
    except ValueError:
        return {}
    return {name: int(amount) for name, amount in sorted(requests.items()) if is_gpu_resource(name) and amount > 0}


def render_taint(key: str, value: str, effect: str) -> str:
    return f"{key}{'=' if value else ''}{value}:{effect}"


def _resources(node: Node, holders: Iterable[Holder]) -> tuple[Resource, ...]:
    allocated: dict[str, int] = {}
    for holder in holders:
        for name, amount in holder.resources.items():
            allocated[name] = allocated.get(name, 0) + amount
    capacity, allocatable = node.status.capacity, node.status.allocatable
    names = sorted(name for name in {*capacity, *allocated} if is_gpu_resource(name))
    return tuple(
        Resource(
            name=name,
            capacity=_number(capacity.get(name)) or 0,
            allocatable=_number(allocatable.get(name)) or 0,
            allocated=allocated.get(name, 0),
        )
        for name in names
        if _number(capacity.get(name)) or allocated.get(name)
    )


def _problems(node: Node, resources: tuple[Resource, ...], drivers: Iterable[DriverPod] | None) -> Iterator[str]:
    """Without pods, a Node without a ready driver still has a problem: its devices are missing."""
    if (ready := _not_ready(node)) is not None:
        yield f"the Node is not ready: {ready.reason}"
    if node.spec.unschedulable:
        yield "the Node is cordoned"
    if (state := parse_state(node.labels.get(STATE, ""))) in (*BUSY, State.FAILED):
        why = node.metadata.annotations.get(REASON, "")
        yield f"the driver upgrade has the state {state}{f': {why}' if why else ''}"
    has_devices = any(each.allocatable for each in resources)
    stage = "" if has_devices or drivers is None else describe_stage(node, drivers)
    if stage:
        yield f"no driver: {stage}"
    gpu_ready, validated = node.condition(GPU_READY), node.condition(GPU_VALIDATED)
    if gpu_ready is not None and (gpu_ready.status != "True" or gpu_ready.reason == Reason.SOME_UNHEALTHY):
        yield _sentence(gpu_ready)
        return
    if validated is not None and validated.status != "True":
        yield _sentence(validated)
    for each in resources:
        if each.unhealthy:
            yield f"{each.unhealthy} of {each.capacity} {each.name} are not allocatable"
    if node.labels.get(PRESENT) == "true" and not resources and not stage:
        yield NO_RESOURCES


def _not_ready(node: Node) -> Condition | None:
    """Returns the condition of a Node that is not ready."""
    ready = node.condition(_READY)
    return ready if ready is not None and ready.status != "True" else None


def _sentence(condition: Condition) -> str:
    message = condition.message.rstrip(".")
    return f"{condition.reason}: {message}" if message else condition.reason


def _models(labels: Mapping[str, str]) -> tuple[str, ...]:
    models = sorted(match[1] for key in labels if (match := _MODEL_COUNT.fullmatch(key)))
    product = _SUFFIX.sub("", labels.get(f"{GPU}.product", ""))
    if product and (len(models) <= 1 or product not in models):
        return (product,)
    return tuple(models)


def _gpus(labels: Mapping[str, str]) -> int | None:
    """Returns the number of GPUs. The number is unknown if only MIG devices are counted."""
    counts = [count for key, value in labels.items() if _MODEL_COUNT.fullmatch(key) and (count := _number(value))]
    if counts or _mig_layout(labels):
        return sum(counts) or None
    return _number(labels.get(f"{GPU}.count"))


def _mig_layout(labels: Mapping[str, str]) -> dict[str, int]:
    profiles = {
        match[1]: count
        for key, value in sorted(labels.items())
        if (match := _MIG_COUNT.fullmatch(key)) and (count := _number(value))
    }
    single = _MIG_PRODUCT.search(labels.get(f"{GPU}.product", "").removesuffix("-SHARED"))
    count = _number(labels.get(f"{GPU}.count"))
    return {single[1]: count} if single and count else profiles


def _sharing(labels: Mapping[str, str]) -> str:
    found = {value for key, value in labels.items() if key.endswith(".sharing-strategy") and value not in ("", "none")}
    return ", ".join(sorted(found))


def _version(labels: Mapping[str, str], name: str, *older: str) -> str:
    """Returns the label `.full`, or the version of the older labels. older: their prefix, and the name of the third part."""
    if full := labels.get(f"{GPU_DOMAIN}cuda.{name}.full"):
        return full
    prefix, *third = older
    parts = [labels.get(f"{GPU_DOMAIN}cuda.{prefix}.{part}", "") for part in ("major", "minor", *third)]
    return ".".join(part for part in parts if part)


def _number(text: object) -> int | None:
    """Returns a whole number of devices or MiB; None for another value."""
    try:
        number = parse_api_quantity(text)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    return int(number)
