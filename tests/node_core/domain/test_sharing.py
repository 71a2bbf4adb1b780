"""What a configuration may say of sharing, as values."""

import pytest

from node_core.domain.resources import resource_name
from node_core.domain.sharing import (
    AllDevices,
    DeviceCount,
    DeviceForm,
    DeviceList,
    DeviceRef,
    SharedResource,
    Sharing,
    SharingStrategy,
    advertised_name,
    parse_device,
    parse_devices,
)

GPU = resource_name("gpu")
UUID = "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63"


def test_all_a_count_and_a_list_select_devices() -> None:
    assert parse_devices("all") == AllDevices()
    assert parse_devices(3) == DeviceCount(count=3)
    first, second = (DeviceRef(form=DeviceForm.GPU_INDEX, text=text) for text in ("0", "2"))
    assert parse_devices([0, "2"]) == DeviceList(devices=(first, second))


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0, DeviceForm.GPU_INDEX, "0"),
        ("07", DeviceForm.GPU_INDEX, "7"),
        ("0:1", DeviceForm.MIG_INDEX, "0:1"),
        ("01:00", DeviceForm.MIG_INDEX, "1:0"),
        (f"GPU-{UUID}", DeviceForm.GPU_UUID, f"GPU-{UUID}"),
        (f"MIG-{UUID}", DeviceForm.MIG_UUID, f"MIG-{UUID}"),
        (f"MIG-GPU-{UUID}/7/0", DeviceForm.MIG_UUID, f"MIG-GPU-{UUID}/7/0"),
    ],
)
def test_a_device_is_named_by_index_or_uuid(value: object, form: DeviceForm, text: str) -> None:
    assert parse_device(value) == DeviceRef(form=form, text=text)


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, None, "", "some", "1", {}, [], ["all"], [[0]], [0, "00"]])
def test_no_other_selection_is_taken(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_devices(value)


@pytest.mark.parametrize(
    "value", [-1, 0.5, True, None, "", "0:", ":1", "0:1:2", "-1", "GPU-1", UUID, f"GPU-{UUID}/1/0", f"MIG-GPU-{UUID}"]
)
def test_no_other_device_is_taken(value: object) -> None:
    with pytest.raises(ValueError, match="is no GPU index"):
        parse_device(value)


def test_a_resource_is_renamed_by_hand_by_default_or_not_at_all() -> None:
    assert advertised_name(GPU, None, by_default=False) == "nvidia.com/gpu"
    assert advertised_name(GPU, None, by_default=True) == "nvidia.com/gpu.shared"
    assert advertised_name(GPU, "slice", by_default=True) == "nvidia.com/slice"
    with pytest.raises(ValueError, match="63"):
        advertised_name(resource_name("x" * 50), None, by_default=True)


def test_a_shared_resource_is_found_by_its_exact_name_before_renaming() -> None:
    shared = SharedResource(resource=GPU, replicas=2, advertised=resource_name("gpu.shared"))
    sharing = Sharing(strategy=SharingStrategy.MPS, resources=(shared,), fail_requests_greater_than_one=True)
    assert sharing.of("nvidia.com/gpu") == shared
    assert shared.renamed
    assert sharing.of("nvidia.com/gpu.shared") is None
    assert sharing.of("gpu") is None
