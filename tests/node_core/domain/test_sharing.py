"""What a configuration may say of sharing, as values."""

import pytest

from node_core.domain.inventory import ComputeCapability
from node_core.domain.resources import resource_name
from node_core.domain.selection import parse_devices
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy, advertised_name

GPU = resource_name("gpu")


def share(*entries: SharedResource, by: SharingStrategy = SharingStrategy.MPS) -> Sharing:
    return Sharing(strategy=by, resources=entries, fail_requests_greater_than_one=True)


def test_a_resource_is_renamed_by_hand_by_default_or_not_at_all() -> None:
    assert advertised_name(GPU, None, by_default=False) == "nvidia.com/gpu"
    assert advertised_name(GPU, None, by_default=True) == "nvidia.com/gpu.shared"
    assert advertised_name(GPU, "slice", by_default=True) == "nvidia.com/slice"
    with pytest.raises(ValueError, match="63"):
        advertised_name(resource_name("x" * 50), None, by_default=True)


def test_a_shared_resource_is_found_by_its_exact_name_before_renaming() -> None:
    shared = SharedResource(resource=GPU, replicas=2, advertised=resource_name("gpu.shared"))
    sharing = share(shared)
    assert sharing.of("nvidia.com/gpu") == shared
    assert shared.renamed
    assert sharing.of("nvidia.com/gpu.shared") is None
    assert sharing.of("gpu") is None


def test_the_first_of_several_ways_stands_for_the_resource() -> None:
    first, second = (
        SharedResource(resource=GPU, replicas=replicas, advertised=GPU, devices=parse_devices([replicas]))
        for replicas in (2, 3)
    )
    sharing = share(first, second)
    assert sharing.of(GPU) == first
    assert sharing.all_of(GPU) == (first, second)


@pytest.mark.parametrize(
    ("compute", "most"), [((7, 5), 48), ((7, 0), 48), ((6, 9), 16), (None, 16)], ids=["turing", "volta", "pascal", "?"]
)
def test_mps_has_a_limit_and_time_slicing_has_none(compute: tuple[int, int] | None, most: int) -> None:
    capability = compute and ComputeCapability(major=compute[0], minor=compute[1])
    assert share().possible_replicas(100, capability) == most
    assert share().possible_replicas(4, capability) == 4
    assert share(by=SharingStrategy.TIME_SLICING).possible_replicas(100, capability) == 100
