"""Checks that the ResourceSlices of the node are complete, and that they offer its GPUs. PURE, except SliceReader.

Needs `list` on resourceslices. Source: Kubernetes API, ResourceSlice of resource.k8s.io v1, v1beta2 and v1beta1.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.pods.device_names import DRA_DRIVER
from gpu_core.pods.resource_slices import ResourceSlice, select_current
from gpu_validator.check import Check, Name, failed, passed
from node_core.kube.client import NodeApi
from node_core.kube.http import parse_response
from node_core.kube.resource_claims import GROUP, read_resource_version
from node_core.scheduling.objects import ApiStruct

MAX_NAMED = 4
REMEDY = "read the log of gpu-dra-driver, which writes the ResourceSlices; gpunode node shows the devices of a Node"


class _SliceList(ApiStruct, frozen=True):
    items: tuple[ResourceSlice, ...]


class SliceReader:
    """Reads the ResourceSlices of the Node of the client."""

    def __init__(self, api: NodeApi) -> None:
        self._api = api

    def read(self) -> tuple[ResourceSlice, ...]:
        """Raises KubeError, also if the API server has no resource.k8s.io."""
        path = f"{GROUP}/{read_resource_version(self._api)}/resourceslices"
        selector = f"spec.nodeName={self._api.node_name},spec.driver={DRA_DRIVER}"
        return parse_response(parse_slices, self._api.request("GET", path, query={"fieldSelector": selector}))


def parse_slices(page: Mapping[str, Any]) -> tuple[ResourceSlice, ...]:
    """Parses a list of ResourceSlices. Raises ValueError."""
    return msgspec.convert(page, _SliceList).items


def check_slices(slices: Sequence[ResourceSlice], inventory: Inventory) -> Check:
    """Each GPU must have a device without a taint: the GPU itself, or a MIG device. A GPU in MIG mode without MIG devices needs none."""
    if not slices:
        return failed(Name.SLICES, f"the Node has no ResourceSlice of {DRA_DRIVER}", REMEDY)
    current = select_current(slices)
    problems = [*_count_slices(current)]
    gpus = [gpu for gpu in inventory.gpus if gpu.mig_devices or not gpu.mig_enabled]
    problems = problems or [problem for gpu in gpus if (problem := _find_problem(gpu, current)) is not None]
    if problems:
        more = f", and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        return failed(Name.SLICES, f"{', '.join(problems[:MAX_NAMED])}{more}", REMEDY)
    return passed(Name.SLICES, f"the ResourceSlices of the Node have devices without taints of {len(gpus)} GPUs")


def _count_slices(slices: Sequence[ResourceSlice]) -> Iterator[str]:
    """Yields a sentence for each pool with a missing slice, of which the scheduler allocates nothing."""
    pools = {each.spec.pool.name: each.spec.pool for each in slices}
    for name, pool in sorted(pools.items()):
        count = sum(each.spec.pool.name == name for each in slices)
        if count != pool.resource_slice_count:
            yield f"the pool {name} has {count} of {pool.resource_slice_count} ResourceSlices"


def _find_problem(gpu: Gpu, slices: Sequence[ResourceSlice]) -> str | None:
    contents = [device.content for each in slices for device in each.spec.devices]
    of_gpu = [each for each in contents if gpu.uuid in (each.texts.get("uuid"), each.texts.get("parentUUID"))]
    if not of_gpu:
        return f"{gpu.uuid} is in no ResourceSlice"
    taints = [each.effective_taints for each in of_gpu]
    if not all(taints):
        return None
    first = taints[0][0]
    return (
        f"{gpu.uuid} has the taint {first.key}={first.value}"
        if first.value
        else f"{gpu.uuid} has the taint {first.key}"
    )
