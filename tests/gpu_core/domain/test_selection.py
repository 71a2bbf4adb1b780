"""The devices that a selection in a config file matches."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.selection import (
    AllDevices,
    DeviceCount,
    DeviceForm,
    DeviceList,
    DeviceRef,
    parse_device,
    parse_device_list,
    parse_devices,
)

UUID = "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    index: str = "3"
    uuid: str = f"GPU-{UUID}"
    gpu: str = f"GPU-{UUID}"
    address: str | None = "0000:17:00.0"
    model: str = "NVIDIA A100-SXM4-40GB (rev 2)"
    profile: str | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None


GPU = Device()
MIG = Device(index="3:1", uuid=f"MIG-{UUID}", profile="1g.5gb+me", gpu_instance=7, compute_instance=0)


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
        ("17:00.0", DeviceForm.PCI_ADDRESS, "0000:17:00.0"),
        ("0001:AB:00.1", DeviceForm.PCI_ADDRESS, "0001:ab:00.1"),
        ("00000000:17:00.0", DeviceForm.PCI_ADDRESS, "0000:17:00.0"),
        ("00010000:17:00.0", DeviceForm.PCI_ADDRESS, "10000:17:00.0"),
        ("product=*A100*", DeviceForm.PRODUCT, "*A100*"),
        ("product=a=b", DeviceForm.PRODUCT, "a=b"),
        ("profile=1g.10gb", DeviceForm.PROFILE, "1g.10gb"),
    ],
)
def test_each_form_of_a_device_is_parsed(value: object, form: DeviceForm, text: str) -> None:
    assert parse_device(value) == DeviceRef(form=form, text=text)


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, None, "", "some", "1", {}, [], ["all"], [[0]], [0, "00"]])
def test_an_invalid_selection_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_devices(value)


@pytest.mark.parametrize(
    "value",
    [-1, 0.5, True, None, "", "0:", ":1", "0:1:2", "-1", "GPU-1", UUID, f"GPU-{UUID}/1/0", f"MIG-GPU-{UUID}", "17:00.8",
     "0:17:00.0", "product=", "profile", "Product=x", " 1", "1\n"],
)  # fmt: skip
def test_an_invalid_device_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="does not name a device"):
        parse_device(value)


@pytest.mark.parametrize(
    ("text", "matches_gpu", "matches_mig"),
    [
        (3, True, True),
        (0, False, False),
        ("3:1", False, True),
        ("3:0", False, False),
        (f"GPU-{UUID.upper()}", True, True),
        (f"MIG-{UUID}", False, True),
        (f"MIG-GPU-{UUID}/7/0", False, True),
        (f"MIG-GPU-{UUID}/7/1", False, False),
        ("17:00.0", True, True),
        ("18:00.0", False, False),
        ("product=NVIDIA A100*", True, True),
        ("product=NVIDIA-A100-SXM4-40GB-rev-2", True, True),
        ("product=A100", False, False),
        ("profile=1g.5gb+me", False, True),
        ("profile=1g.5gb.me", False, True),
        ("profile=1g.5gb", False, False),
        ("profile=*", False, True),
    ],
)
def test_a_reference_to_a_gpu_matches_the_gpu_and_its_mig_devices(
    text: str | int, matches_gpu: bool, matches_mig: bool
) -> None:
    ref = parse_device(text)
    assert (ref.matches(GPU), ref.matches(MIG)) == (matches_gpu, matches_mig)


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [(0, "0", True), (0, 1, False), (0, "0:3", True), ("0:3", 0, True), ("0:3", "0:4", False), (1, "0:1", False),
     ("profile=a", "product=a", False)],
)  # fmt: skip
def test_overlaps_are_detected_from_the_texts(one: str | int, other: str | int, overlaps: bool) -> None:
    assert parse_device(one).overlaps(parse_device(other)) is overlaps


@given(st.lists(st.sampled_from([0, "1", "0:1", "17:00.0", "product=a*", "profile=b", f"GPU-{UUID}"]), unique=True))
def test_a_list_survives_a_round_trip_through_text(values: list[str | int]) -> None:
    if values:
        refs = parse_device_list(values)
        assert parse_device_list(map(str, refs)) == refs


@given(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.lists(st.integers(), max_size=2))
def test_any_value_is_a_device_or_refused_with_a_reason(value: object) -> None:
    try:
        assert str(parse_device(value))
    except ValueError as error:
        reason = str(error)
        assert reason.startswith(repr(value))
