"""The PCI source."""

import pytest

from nfd_lite.sources import SourceSettings
from nfd_lite.sources.pci import label_devices, select_fields
from node_core.domain.features import Features
from tests.nfd_lite.sources.scans import LayOut, scan

GPU = {"class": "0302", "vendor": "10de", "device": "2330", "subsystem_vendor": "10de", "subsystem_device": "16c1"}


@pytest.mark.parametrize(
    ("whitelist", "fields", "expected"),
    [
        (("03", "12"), ("class", "vendor"), "pci-0302_10de"),
        (("0302",), ("device", "vendor", "nonsense"), "pci-10de_2330"),
        (("03",), ("nonsense",), "pci-0302_10de"),
        (("03",), ("vendor",), "pci-10de"),
        (("02", "12"), ("class",), None),
        ((), ("class",), None),
    ],
)
def test_pci_labels_follow_the_settings(
    whitelist: tuple[str, ...], fields: tuple[str, ...], expected: str | None
) -> None:
    settings = SourceSettings(pci_device_class_whitelist=whitelist, pci_device_label_fields=fields)
    labels = label_devices(Features(instances={"pci.device": (GPU,)}), settings)
    assert labels == ({f"{expected}.present": "true"} if expected else {})


def test_classes_are_case_insensitive() -> None:
    settings = SourceSettings(pci_device_class_whitelist=("0B40",))
    assert label_devices(Features(instances={"pci.device": (GPU | {"class": "0b40"},)}), settings)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        (("class", "vendor"), {"pci-0302_10de.present": "true"}),
        (("vendor", "subsystem_vendor"), {}),
    ],
)
def test_a_function_without_a_field_has_no_label_with_that_field(
    fields: tuple[str, ...], labels: dict[str, str], lay_out: LayOut
) -> None:
    folder = "/sys/bus/pci/devices/0000:3b:00.0"
    root = lay_out({f"{folder}/class": "0x030200\n", f"{folder}/vendor": "0x10DE\n", f"{folder}/device": "0x2BB5\n"})
    found = scan(root, SourceSettings(pci_device_label_fields=fields))[1]
    assert {key: value for key, value in found.items() if key.startswith("pci-")} == labels


def test_without_a_pci_bus_the_feature_is_absent_and_an_empty_bus_has_no_devices(lay_out: LayOut) -> None:
    assert "pci.device" not in scan(lay_out({}))[0].instances
    assert scan(lay_out({"/sys/bus/pci/devices/": ""}))[0].instances["pci.device"] == ()


def test_rules_see_the_driver_of_a_function(lay_out: LayOut) -> None:
    folder = "/sys/bus/pci/devices/0000:3b:00.0"
    ids = {f"{folder}/class": "0x030200\n", f"{folder}/vendor": "0x10de\n", f"{folder}/device": "0x2330\n"}
    features, _ = scan(lay_out(ids | {f"{folder}/driver": "-> ../../../bus/pci/drivers/vfio-pci"}))
    assert features.instances["pci.device"] == (
        {"class": "0302", "vendor": "10de", "device": "2330", "driver": "vfio-pci"},
    )


def test_sriov_of_one_function_labels_the_class_and_vendor() -> None:
    for devices in ((GPU, GPU | {"sriov_totalvfs": "0"}), (GPU | {"sriov_totalvfs": "16"}, GPU)):
        labels = label_devices(Features(instances={"pci.device": devices}), SourceSettings())
        assert labels["pci-0302_10de.sriov.capable"] == "true"


def test_fields_have_a_fixed_order() -> None:
    assert select_fields(("c", "a"), ("a", "b", "c"), default=("b",)) == ("a", "c")
