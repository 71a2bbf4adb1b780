"""The values of the sharing configuration."""

import pytest

from gpu_core.domain.inventory import ComputeCapability, CudaVersion, Driver
from gpu_core.domain.resources import resource_name
from gpu_core.domain.selection import parse_devices
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy, advertised_name, max_replicas

GPU = resource_name("gpu")


def share(*entries: SharedResource, by: SharingStrategy = SharingStrategy.MPS) -> Sharing:
    return Sharing(strategy=by, resources=entries, fail_requests_greater_than_one=True)


def test_a_resource_is_renamed_explicitly_by_default_or_not_at_all() -> None:
    assert advertised_name(GPU, None, by_default=False) == "nvidia.com/gpu"
    assert advertised_name(GPU, None, by_default=True) == "nvidia.com/gpu.shared"
    assert advertised_name(GPU, "slice", by_default=True) == "nvidia.com/slice"
    with pytest.raises(ValueError, match="63"):
        advertised_name(resource_name("x" * 50), None, by_default=True)


def test_a_shared_resource_is_found_by_its_exact_name_before_renaming() -> None:
    shared = SharedResource(resource=GPU, replicas=2, advertised=resource_name("gpu.shared"))
    sharing = share(shared)
    assert sharing.find("nvidia.com/gpu") == shared
    assert shared.is_renamed
    assert sharing.find("nvidia.com/gpu.shared") is None
    assert sharing.find("gpu") is None


def test_the_first_of_several_entries_is_found_first() -> None:
    first, second = (
        SharedResource(resource=GPU, replicas=replicas, advertised=GPU, devices=parse_devices([replicas]))
        for replicas in (2, 3)
    )
    sharing = share(first, second)
    assert sharing.find(GPU) == first
    assert sharing.find_all(GPU) == (first, second)


@pytest.mark.parametrize(
    ("compute", "most"), [((7, 5), 48), ((7, 0), 48), ((6, 9), 16), (None, 16)], ids=["turing", "volta", "pascal", "?"]
)
def test_mps_limits_replicas_and_time_slicing_does_not(compute: tuple[int, int] | None, most: int) -> None:
    capability = compute and ComputeCapability(major=compute[0], minor=compute[1])
    assert share().limit_replicas(100, capability) == most
    assert share().limit_replicas(4, capability) == 4
    assert share(by=SharingStrategy.TIME_SLICING).limit_replicas(100, capability) == 100


UUIDS = [f"GPU-4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d6{index}" for index in range(8)]


@pytest.mark.parametrize(("devices", "most"), [(1, 61680), (2, 30840), (8, 7710)])
def test_time_slicing_is_limited_by_the_list_of_devices_that_the_kubelet_accepts(devices: int, most: int) -> None:
    sharing = share(by=SharingStrategy.TIME_SLICING)
    assert sharing.limit_replicas(10**9, None, UUIDS[:devices]) == most
    assert sharing.limit_replicas(most, None, UUIDS[:devices]) == most


def test_the_limit_of_replicas_is_never_below_one() -> None:
    assert max_replicas(["x" * (8 << 20)]) == 1


@pytest.mark.parametrize(
    ("cuda", "most"),
    [((13, 1), 60), ((14, 0), 60), ((13, 0), 48), ((12, 9), 48), (None, 48)],
    ids=["13.1", "14.0", "13.0", "12.9", "unknown"],
)
def test_mps_clients_depend_on_the_driver(cuda: tuple[int, int] | None, most: int) -> None:
    driver = Driver(version="590.44.01", cuda=cuda and CudaVersion(major=cuda[0], minor=cuda[1]))
    sharing = share().for_driver(driver)
    assert sharing.limit_replicas(100, ComputeCapability(major=9, minor=0)) == most
    assert sharing.limit_replicas(100, ComputeCapability(major=6, minor=1)) == 16
    assert share().for_driver(None).limit_replicas(100, ComputeCapability(major=9, minor=0)) == 48
