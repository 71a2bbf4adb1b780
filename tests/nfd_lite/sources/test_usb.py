"""The USB source."""

from nfd_lite.sources import SourceSettings
from nfd_lite.sources.usb import label_devices as label_usb
from node_core.domain.features import Features
from tests.nfd_lite.sources.scans import LayOut, scan


def test_a_usb_device_with_classes_in_its_interfaces_has_one_instance_for_each_interface(lay_out: LayOut) -> None:
    stick = "/sys/bus/usb/devices/1-2"
    files = {f"{stick}/bDeviceClass": "00\n", f"{stick}/idVendor": "0781\n", f"{stick}/idProduct": "5583\n"}
    interfaces = {f"{stick}/1-2:1.{index}/bInterfaceClass": f"{code}\n" for index, code in enumerate(("0e", "03"))}
    features, labels = scan(lay_out(files | interfaces))
    assert [device["class"] for device in features.instances["usb.device"]] == ["0e", "03"]
    assert labels == {"usb-0e_0781_5583.present": "true"}


def test_usb_labels_can_name_the_serial_number() -> None:
    device = {"class": "ff", "vendor": "1d6b", "device": "0002", "serial": "A1"}
    settings = SourceSettings(usb_device_label_fields=("serial", "vendor"))
    assert label_usb(Features(instances={"usb.device": (device,)}), settings) == {"usb-1d6b_A1.present": "true"}


def test_ids_with_capitals_are_labelled_in_lower_case(lay_out: LayOut) -> None:
    camera = "/sys/bus/usb/devices/1-2"
    files = {"bDeviceClass": "EF", "idVendor": "046D", "idProduct": "0ABC", "serial": "A1"}
    features, labels = scan(lay_out({f"{camera}/{name}": f"{text}\n" for name, text in files.items()}))
    assert labels == {"usb-ef_046d_0abc.present": "true"}
    assert features.instances["usb.device"][0]["serial"] == "A1"
