import re

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import DeviceKind, Version
from gpu_core.domain.inventory import Driver, Inventory, Platform
from gpu_core.mig.model import Engines
from node_core.domain.pci import PciAddress
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory, mig_device, mig_of
from tests.gpu_core.mig.boards import PROFILES, instance

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def test_a_full_gpu_has_the_attributes_of_nvidia_and_of_kubernetes() -> None:
    (device,) = devices_of(inventory(gpu(4)), pcie_roots={PciAddress("0000:04:00.0"): "pci0000:02"})
    assert (device.name, device.kind, device.counter_set, device.counters) == ("gpu-4", DeviceKind.GPU, None, {})
    assert device.attributes == {
        "type": "gpu",
        "uuid": "GPU-4",
        "productName": "NVIDIA H100 80GB HBM3",
        "architecture": "Hopper",
        "cudaComputeCapability": Version(text="9.0.0"),
        "driverVersion": Version(text="550.54.15"),
        "cudaDriverVersion": Version(text="12.4.0"),
        "resource.kubernetes.io/pciBusID": "0000:04:00.0",
        "resource.kubernetes.io/pcieRoot": "pci0000:02",
        "resource.kubernetes.io/numaNode": 1,
    }
    assert device.capacity == {"memory": 80 << 30}


def test_a_full_gpu_has_the_engines_of_its_largest_mig_profile() -> None:
    mig = mig_of(gpu(), enabled=False)
    largest = replace(mig.profiles[-1], engines=Engines(multiprocessors=132, copy=8, decoders=7, ofa=1))
    (device,) = devices_of(inventory(gpu()), [replace(mig, profiles=(*mig.profiles[:-1], largest))])
    assert device.capacity == {
        "memory": 80 << 30,
        "multiprocessors": 132,
        "copyEngines": 8,
        "decoders": 7,
        "encoders": 0,
        "jpegEngines": 0,
        "ofaEngines": 1,
    }


def test_values_that_are_unknown_are_absent() -> None:
    bare = gpu(model="", memory_bytes=None, compute=None, address=None, numa_node=None, mig_capable=False, minor=None)
    (device,) = devices_of(Inventory(driver=None, gpus=(bare,)))
    assert (device.name, device.attributes, device.capacity) == ("gpu-0", {"type": "gpu", "uuid": "GPU-0"}, {})


def test_a_long_product_name_is_cut_to_the_limit_of_the_api() -> None:
    (device,) = devices_of(inventory(gpu(model="x" * 100)))
    assert device.attributes["productName"] == "x" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("550.54.15", "550.54.15"),
        ("470.05.01", "470.5.1"),
        ("550.54", "550.54.0"),
        ("unknown.unknown.unknown", None),
        ("", None),
        ("550", None),
        ("1.2.3.4", None),
        ("550.54.15\n", None),
    ],
)
def test_a_driver_version_is_a_semantic_version_or_absent(text: str, expected: str | None) -> None:
    (device,) = devices_of(Inventory(driver=Driver(version=text, cuda=None), gpus=(gpu(),)))
    assert device.attributes.get("driverVersion") == (Version(text=expected) if expected else None)


def test_a_gpu_in_mig_mode_is_divided_into_its_mig_devices() -> None:
    divided = gpu(mig_enabled=True, mig_devices=(mig_device(1, "3g.40gb", 4), mig_device(7, "1g.10gb+me", 0)))
    instances = (instance(1, "3g.40gb", 4), instance(7, "1g.10gb+me", 0))
    mig = replace(mig_of(divided), instances=instances)
    large, small = devices_of(inventory(divided), [mig])
    assert (large.name, small.name) == ("gpu-0-mig-3g40gb-98-4", "gpu-0-mig-1g10gb-me-93-0")
    assert large.mig is divided.mig_devices[0]
    assert large.attributes["type"] == "mig"
    assert (large.attributes["uuid"], large.attributes["parentUUID"]) == ("MIG-1-0", "GPU-0")
    assert (large.attributes["profile"], small.attributes["profile"]) == ("3g.40gb", "1g.10gb+me")
    assert large.capacity["memory"] == 40000 << 20
    assert [name for name in large.capacity if name.startswith("memorySlice")] == [
        f"memorySlice{number}" for number in range(4, 8)
    ]
    assert large.counters == {}


def test_mig_devices_of_one_gpu_instance_have_different_names() -> None:
    divided = gpu(mig_enabled=True, mig_devices=(mig_device(1, "1c.3g.40gb", 4, 0), mig_device(1, "2c.3g.40gb", 4, 1)))
    mig = replace(mig_of(divided), instances=(instance(1, "3g.40gb", 4, "1c.3g.40gb", "2c.3g.40gb"),))
    assert [device.name for device in devices_of(inventory(divided), [mig])] == [
        "gpu-0-mig-1c3g40gb-98-4-c0",
        "gpu-0-mig-2c3g40gb-98-4-c1",
    ]


def test_mig_devices_without_a_known_profile_are_not_offered() -> None:
    unknown = replace(mig_device(1, "3g.40gb", 4), profile=None)
    divided = gpu(mig_enabled=True, mig_devices=(unknown, mig_device(9, "1g.10gb", 0)))
    mig = replace(mig_of(divided), instances=(instance(1, "3g.40gb", 4),))
    assert devices_of(inventory(divided), [mig]) == ()
    assert devices_of(inventory(divided)) == ()


@pytest.mark.parametrize(
    ("needs_reset", "enabled", "has_full", "has_mig"),
    [(False, False, True, True), (False, True, True, True), (True, False, True, False), (True, True, False, True)],
)
def test_a_gpu_that_needs_a_reset_for_mig_is_offered_only_in_its_present_mode(
    needs_reset: bool, enabled: bool, has_full: bool, has_mig: bool
) -> None:
    mig = replace(mig_of(gpu(), enabled=enabled), needs_reset=needs_reset)
    kinds = {device.kind for device in devices_of(inventory(gpu(mig_enabled=enabled)), [mig], has_dynamic_mig=True)}
    assert (DeviceKind.GPU in kinds, DeviceKind.MIG in kinds) == (has_full, has_mig)


def test_a_gpu_without_mig_is_one_device_also_with_dynamic_mig() -> None:
    devices = devices_of(inventory(gpu(), gpu(1)), [mig_of(gpu(1))], has_dynamic_mig=True)
    assert [device.name for device in devices][:2] == ["gpu-0", "gpu-1"]
    assert len(devices) == 2 + sum(len(profile.placements) for profile in mig_of(gpu(1)).profiles)


@pytest.mark.parametrize("model", sorted(PROFILES))
def test_names_are_unique_dns_labels(model: str) -> None:
    names = [
        device.name
        for device in devices_of(
            inventory(gpu(), gpu(1)), [mig_of(gpu(), model), mig_of(gpu(1), model)], has_dynamic_mig=True
        )
    ]
    assert len(set(names)) == len(names)
    assert all(DNS_LABEL.fullmatch(name) for name in names)


def test_an_abstract_mig_device_has_no_uuid() -> None:
    devices = devices_of(inventory(gpu()), [mig_of(gpu())], has_dynamic_mig=True)
    (device,) = (each for each in devices if each.name == "gpu-0-mig-2g20gb-99-4")
    assert "uuid" not in device.attributes
    assert (device.attributes["parentUUID"], device.attributes["profile"]) == ("GPU-0", "2g.20gb")
    assert device.capacity["memory"] == 2000 << 20


def test_a_tegra_gpu_is_not_offered() -> None:
    assert devices_of(inventory(gpu(), platform=Platform.TEGRA)) == ()


def test_brand_and_addressing_mode_are_attributes_of_gpus_and_mig_devices_if_nvml_reports_them() -> None:
    each = gpu(0, brand="Nvidia", addressing_mode="ATS")
    devices = devices_of(inventory(each), (mig_of(each),), has_dynamic_mig=True)
    assert {device.kind.value for device in devices} == {"gpu", "mig"}
    assert {(device.attributes["brand"], device.attributes["addressingMode"]) for device in devices} == {
        ("Nvidia", "ATS")
    }
    (unknown,) = devices_of(inventory(gpu(0)))
    assert {"brand", "addressingMode"}.isdisjoint(unknown.attributes)
