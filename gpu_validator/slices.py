"""Checks that the ResourceSlices of the node are complete, and that they offer its GPUs. PURE, except SliceReader.

Needs `list` on resourceslices. Source: Kubernetes API, ResourceSlice of resource.k8s.io v1, v1beta2 and v1beta1.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.pods.device_names import DRA_DRIVER
from gpu_validator.check import Check, Name, failed, passed
from node_core.kube.client import NodeApi
from node_core.kube.http import parse_response
from node_core.kube.resource_claims import GROUP, read_resource_version
from node_core.scheduling.objects import ApiStruct, Taint

MAX_NAMED = 4
NO_EFFECT = "None"
"""A taint with this effect informs people, and the scheduler ignores the taint."""
REMEDY = "read the log of gpu-dra-driver, which writes the ResourceSlices; gpunode node shows the devices of a Node"
_UUIDS = frozenset(f"{prefix}{name}" for prefix in ("", f"{DRA_DRIVER}/") for name in ("uuid", "parentUUID"))
"""The attributes with the UUID of the GPU, or of a MIG device and its GPU. The domain of the driver may be omitted."""


class _Content(ApiStruct, frozen=True):
    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


class _Device(_Content, frozen=True):
    """basic: in v1beta1, whose devices have one level more."""

    basic: _Content | None = None


class _Pool(ApiStruct, frozen=True):
    name: str
    generation: int
    resource_slice_count: int


class _Spec(ApiStruct, frozen=True):
    pool: _Pool
    devices: tuple[_Device, ...] = ()


class NodeSlice(ApiStruct, frozen=True):
    """A ResourceSlice of this node and of gpu.nvidia.com."""

    spec: _Spec


class _SliceList(ApiStruct, frozen=True):
    items: tuple[NodeSlice, ...]


class SliceReader:
    """Reads the ResourceSlices of the Node of the client."""

    def __init__(self, api: NodeApi) -> None:
        self._api = api

    def read(self) -> tuple[NodeSlice, ...]:
        """Raises KubeError, also if the API server has no resource.k8s.io."""
        path = f"{GROUP}/{read_resource_version(self._api)}/resourceslices"
        selector = f"spec.nodeName={self._api.node_name},spec.driver={DRA_DRIVER}"
        return parse_response(parse_slices, self._api.request("GET", path, query={"fieldSelector": selector}))


def parse_slices(page: Mapping[str, Any]) -> tuple[NodeSlice, ...]:
    """Parses a list of ResourceSlices. Raises ValueError."""
    return msgspec.convert(page, _SliceList).items


def check_slices(slices: Sequence[NodeSlice], inventory: Inventory) -> Check:
    """Each GPU must have a device without a taint: the GPU itself, or a MIG device. A GPU in MIG mode without MIG devices needs none."""
    if not slices:
        return failed(Name.SLICES, f"the Node has no ResourceSlice of {DRA_DRIVER}", REMEDY)
    current = _select_current(slices)
    problems = [*_count_slices(current)]
    gpus = [gpu for gpu in inventory.gpus if gpu.mig_devices or not gpu.mig_enabled]
    problems = problems or [problem for gpu in gpus if (problem := _find_problem(gpu, current)) is not None]
    if problems:
        more = f", and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        return failed(Name.SLICES, f"{', '.join(problems[:MAX_NAMED])}{more}", REMEDY)
    return passed(Name.SLICES, f"the ResourceSlices of the Node have devices without taints of {len(gpus)} GPUs")


def _select_current(slices: Sequence[NodeSlice]) -> list[NodeSlice]:
    """The scheduler ignores slices of older generations of a pool."""
    newest: dict[str, int] = {}
    for each in slices:
        pool = each.spec.pool
        newest[pool.name] = max(pool.generation, newest.get(pool.name, pool.generation))
    return [each for each in slices if each.spec.pool.generation == newest[each.spec.pool.name]]


def _count_slices(slices: Sequence[NodeSlice]) -> Iterator[str]:
    """Yields a sentence for each pool with a missing slice, of which the scheduler allocates nothing."""
    pools = {each.spec.pool.name: each.spec.pool for each in slices}
    for name, pool in sorted(pools.items()):
        count = sum(each.spec.pool.name == name for each in slices)
        if count != pool.resource_slice_count:
            yield f"the pool {name} has {count} of {pool.resource_slice_count} ResourceSlices"


def _find_problem(gpu: Gpu, slices: Sequence[NodeSlice]) -> str | None:
    devices = [device for each in slices for device in each.spec.devices if gpu.uuid in _uuids(device)]
    if not devices:
        return f"{gpu.uuid} is in no ResourceSlice"
    taints = [_taints(device) for device in devices]
    return None if not all(taints) else f"{gpu.uuid} has the taint {taints[0][0]}"


def _uuids(device: _Device) -> set[object]:
    content = device.basic or device
    return {value.get("string") for name, value in content.attributes.items() if name in _UUIDS}


def _taints(device: _Device) -> list[str]:
    content = device.basic or device
    return [
        f"{each.key}={each.value}" if each.value else each.key for each in content.taints if each.effect != NO_EFFECT
    ]
