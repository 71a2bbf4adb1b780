"""Devices of ResourceSlices, with their claims and pods."""

from typing import Any

import msgspec
import pytest

from gpu_core.pods.resource_slices import Pool, ResourceSlice
from gpunode.cluster.claim_devices import ClaimDevice, DeviceIndex, select_devices
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.claimed_node import add_claims
from gpunode.cluster.fleet import GpuNode, Holder, Resource

GPU = {"type": {"string": "gpu"}, "productName": {"string": "H100"}, "uuid": {"string": "GPU-1"}}


def slice_of(*devices: dict[str, Any], pool: str = "n1", generation: int = 1) -> ResourceSlice:
    spec = {"nodeName": "n1", "pool": {"name": pool, "generation": generation}, "devices": devices}
    return msgspec.convert({"metadata": {"name": "s"}, "spec": spec}, ResourceSlice)


def claim(name: str, allocated: str, *pods: str, **result: Any) -> ResourceClaim:
    results = [{"driver": "gpu.nvidia.com", "pool": "n1", "device": allocated, **result}]
    status = {
        "allocation": {"devices": {"results": results}},
        "reservedFor": [{"resource": "pods", "name": each} for each in pods],
    }
    return msgspec.convert({"metadata": {"name": name, "namespace": "team"}, "status": status}, ResourceClaim)


def test_a_device_has_the_claims_and_pods_that_have_it() -> None:
    (device,) = select_devices([slice_of({"name": "gpu-0", "attributes": GPU})], [claim("c", "gpu-0", "b", "a")])["n1"]
    assert device == ClaimDevice(
        name="gpu-0",
        device_class="gpu.nvidia.com",
        model="H100",
        gpu="GPU-1",
        claims=("team/c",),
        pods=("team/b", "team/a"),
    )


def test_the_devices_of_v1beta1_are_equal() -> None:
    new = {"attributes": GPU, "taints": [{"key": "a/b", "effect": "NoExecute"}]}
    current = select_devices([slice_of({"name": "gpu-0", **new})], [])
    assert select_devices([slice_of({"name": "gpu-0", "basic": new})], []) == current
    assert current["n1"][0].taints == ("a/b:NoExecute",)


def test_attributes_with_the_domain_of_the_driver_are_equal() -> None:
    qualified = {f"gpu.nvidia.com/{name}": value for name, value in GPU.items()}
    both = [select_devices([slice_of({"name": "gpu-0", "attributes": each})], []) for each in (GPU, qualified)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    "result",
    [{"adminAccess": True}, {"driver": "nic.example.com"}, {"pool": "n2"}, {"device": "gpu-1"}],
    ids=["admin access", "another driver", "another pool", "another device"],
)
def test_a_claim_that_does_not_have_the_device_does_not_count(result: dict[str, Any]) -> None:
    (device,) = select_devices([slice_of({"name": "gpu-0", "attributes": GPU})], [claim("c", "gpu-0", "a", **result)])[
        "n1"
    ]
    assert (device.claims, device.pods) == ((), ())


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    slices = [slice_of({"name": f"gpu-{number}", "attributes": GPU}, generation=number) for number in (2, 3, 1)]
    assert [each.name for each in select_devices(slices, [])["n1"]] == ["gpu-3"]


@pytest.mark.parametrize(
    "attributes",
    [{}, {"type": {}}, {"type": {"int": 1}}, {"type": {"string": None}}, {"type": {"string": "vfio"}}],
)
def test_devices_of_other_types_are_not_shown(attributes: dict[str, Any]) -> None:
    assert select_devices([slice_of({"name": "gpu-0", "attributes": attributes})], []) == {}


def test_a_node_without_devices_is_unchanged() -> None:
    node = GpuNode(name="n1", problems=("the Node has GPUs, but no GPU resources",))
    assert add_claims(node, ()) is node


def test_a_gpu_with_a_mig_device_of_a_claim_counts_as_allocated() -> None:
    full = ClaimDevice(name="gpu-0", device_class="gpu.nvidia.com", gpu="GPU-1", counter_sets=("gpu-0",))
    place = ClaimDevice(
        name="gpu-0-mig-1g10gb-19-0",
        device_class="mig.nvidia.com",
        gpu="GPU-1",
        profile="1g.10gb",
        counter_sets=("gpu-0",),
    )
    used = msgspec.structs.replace(place, claims=("team/c",), pods=("team/a",))
    empty = add_claims(GpuNode(name="n1"), (full, place))
    assert (empty.free, empty.mig_layout, empty.gpus) == (1, {}, 1)
    found = add_claims(GpuNode(name="n1"), (full, used))
    assert found.resources == (Resource(name="gpu.nvidia.com", capacity=1, allocatable=1, allocated=1),)
    assert found.mig_layout == {"1g.10gb": 1}
    assert found.holders == (Holder(namespace="team", name="a", resources={"mig.nvidia.com": 1}),)


def test_a_pod_with_an_extended_resource_that_a_claim_serves_counts_once() -> None:
    requested = Holder(namespace="team", name="a", resources={"nvidia.com/gpu": 1})
    node = GpuNode(
        name="n1",
        resources=(Resource(name="nvidia.com/gpu", capacity=0, allocatable=0, allocated=1),),
        holders=(requested,),
    )
    device = ClaimDevice(name="gpu-0", device_class="gpu.nvidia.com", claims=("team/c",), pods=("team/a",))
    found = add_claims(node, (device,))
    assert [(each.name, each.allocated) for each in found.resources] == [("gpu.nvidia.com", 1)]
    assert found.holders == (Holder(namespace="team", name="a", resources={"gpu.nvidia.com": 1}),)


def test_a_node_is_described_again_only_if_its_slices_or_users_changed() -> None:
    index, one = DeviceIndex(), slice_of({"name": "gpu-0", "attributes": GPU})
    two = msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, node_name="n2", pool=Pool(name="n2")))
    first = index.update([one, two], [])
    second = index.update([one, two], [claim("c", "gpu-0", "a")])
    assert second["n2"] is first["n2"]
    assert second["n1"][0].claims == ("team/c",)
    assert index.update([one], []) == {"n1": first["n1"]}
