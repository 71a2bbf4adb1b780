"""Each name of a device leads to the device, and no other text does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.pods.device_names import DeviceKey, name_devices
from node_core.kubelet.podresources import ClaimedDevice
from tests.gpu_core.pods.nodes import gpu, mig, uuid

WHOLE = DeviceKey(f"GPU-{uuid(0)}", None)
PART = DeviceKey(f"GPU-{uuid(1)}", 9)
MIGS = (mig(7, 9, start=2), mig(8, 11, start=3), mig(9, 13, "1g.10gb+me", start=4), mig(10, 1, None, start=None))
NAMES = name_devices([gpu(0), gpu(1, *MIGS)])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"GPU-{uuid(0)}", WHOLE),
        (f"GPU-{uuid(0)}::0", WHOLE),
        (f"GPU-{uuid(0)}::4711", WHOLE),
        ("nvidia4", WHOLE),
        ("nvidia4/vgpu3", WHOLE),
        (f"MIG-{uuid(7)}", PART),
        (f"MIG-{uuid(7)}::2", PART),
        (f"MIG-GPU-{uuid(1)}/9/0", PART),
        ("nvidia5/gi9", PART),
        ("nvidia5/gi9/vgpu0", PART),
    ],
)
def test_the_id_of_a_device_plugin_names_the_device(text: str, key: DeviceKey) -> None:
    assert NAMES.find(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "", "::0", f"GPU-{uuid(3)}", f"GPU-{uuid(0)}::", f"GPU-{uuid(0)}::x", f"GPU-{uuid(0)}::1::2", f"GPU-{uuid(0)} ", f"XGPU-{uuid(0)}",
        "0", "nvidia0", "nvidia44", "nvidia5/gi2", "gpu-4", "0000:17:00.0", "eth0", f"MIG-{uuid(0)}",
    ],
)  # fmt: skip
def test_any_other_id_names_nothing(text: str) -> None:
    assert NAMES.find(text) is None


@given(st.text())
def test_no_text_by_chance_names_a_device(text: str) -> None:
    assert NAMES.find(text) is None
    assert NAMES.find_claimed(ClaimedDevice(driver="gpu.nvidia.com", device=text, cdi=(text,))) is None


@pytest.mark.parametrize(
    ("claimed", "key"),
    [
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-4"), WHOLE),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-5-mig-1g10gb-19-2"), PART),
        (ClaimedDevice(driver="example.com", device="x", cdi=("example.com/a=0", f"nvidia.com/gpu=GPU-{uuid(0)}")), WHOLE),
        (ClaimedDevice(driver="gpu.nvidia.com", device="x", cdi=(f"k8s.gpu.nvidia.com/device=MIG-{uuid(7)}",)), PART),
        (ClaimedDevice(driver="gpu.example.com", device="gpu-4"), None),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-0"), None),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-vfio-4"), None),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-5-mig-1g10gbme-20-4"), DeviceKey(f"GPU-{uuid(1)}", 13)),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-5-mig-1g10gb-19-5"), None),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-5-mig-1g10gb-19"), None),
        (ClaimedDevice(driver="gpu.nvidia.com", device="gpu-5-mig-3g40gb-9-2"), None),
        (ClaimedDevice(), None),
    ],
)  # fmt: skip
def test_the_device_of_a_claim_is_found_by_uuid_or_by_the_names_of_the_driver(
    claimed: ClaimedDevice, key: DeviceKey | None
) -> None:
    assert NAMES.find_claimed(claimed) == key


def test_a_gpu_without_a_minor_number_is_named_by_its_uuid_alone() -> None:
    names = name_devices([gpu(0, mig(7, 9), minor=None)])
    assert set(names.ids) == {f"GPU-{uuid(0)}", f"MIG-{uuid(7)}", f"MIG-GPU-{uuid(0)}/9/0"}
    assert names.claims == {}
