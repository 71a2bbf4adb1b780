from collections.abc import Callable

import pytest

from nfd_lite.sources import ALL, Host, SourceSettings, collect
from nfd_lite.sources.kernel import parse_builtin, parse_version
from nfd_lite.sources.memory import hugepage_name
from nfd_lite.sources.pci import label_devices, select_fields
from nfd_lite.sources.storage import label_block
from nfd_lite.sources.system import parse_osrelease
from nfd_lite.sources.usb import label_devices as label_usb
from node_core.domain.features import Features
from node_core.domain.labels import merge_collected
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
PREFIX = "feature.node.kubernetes.io/"
GPU = {"class": "0302", "vendor": "10de", "device": "2330", "subsystem_vendor": "10de", "subsystem_device": "16c1"}


def look(root: HostRoot, settings: SourceSettings | None = None) -> tuple[Features, dict[str, str]]:
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", how="test"))
    collection = collect(host, settings or SourceSettings(), [source for source in ALL if source.name != "cpu"])
    labels = merge_collected(collection.collected, {})
    return collection.features, {key.removeprefix(PREFIX): value for key, value in labels.items()}


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.8.0-45-generic", {"full": "6.8.0-45-generic", "major": "6", "minor": "8", "revision": "0"}),
        (
            "5.14.0-427.el9.x86_64+rt",
            {"full": "5.14.0-427.el9.x86_64_rt", "major": "5", "minor": "14", "revision": "0"},
        ),
        ("6.9", {"full": "6.9", "major": "6", "minor": "9", "revision": ""}),
        ("6.8.0_odd+", {"full": "6.8.0_odd"}),
    ],
)
def test_kernel_versions_are_split(release: str, expected: dict[str, str]) -> None:
    assert parse_version(release) == expected


def test_build_options_that_were_asked_for_are_labelled_with_their_value(lay_out: LayOut) -> None:
    root = lay_out({"/my/config": 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_C="text"\nCONFIG_D=250\nCONFIG_E=y\n'})
    settings = SourceSettings(kernel_kconfig_file="/my/config", kernel_config_opts=("A", "B", "C", "D", "MISSING"))
    expected = {"A": "true", "B": "true", "C": "text", "D": "250"}
    assert look(root, settings)[1] == {f"kernel-config.{name}": value for name, value in expected.items()}


@pytest.mark.parametrize(("mode", "enabled"), [("1", "true"), ("0", "false")])
def test_permissive_selinux_is_not_enabled(mode: str, enabled: str, lay_out: LayOut) -> None:
    features, labels = look(lay_out({"/sys/fs/selinux/enforce": mode}))
    assert features.attributes["kernel.selinux"] == {"enabled": enabled}
    assert labels == ({"kernel-selinux.enabled": "true"} if enabled == "true" else {})


def test_built_in_modules_are_enabled_and_not_loaded(lay_out: LayOut) -> None:
    files = {"/proc/sys/kernel/osrelease": "6.8.0\n", "/proc/modules": "nvidia 1 0 - Live 0\n\n"}
    assert "kernel.enabledmodule" not in look(lay_out(files))[0].flags
    features, _ = look(lay_out(files | {"/usr/lib/modules/6.8.0/modules.builtin": "kernel/fs/ext4/ext4.ko\n"}))
    assert features.flags["kernel.loadedmodule"] == {"nvidia"}
    assert features.flags["kernel.enabledmodule"] == {"nvidia", "ext4"}


def test_module_names_keep_their_spelling() -> None:
    assert parse_builtin("kernel/a/snd-pcm.ko\nkernel/b/ib_core.ko\n\n") == {"snd-pcm", "ib_core"}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("hugepages-2048kB", "hugepages-2Mi"),
        ("hugepages-1048576kB", "hugepages-1Gi"),
        ("hugepages-64kB", "hugepages-64Ki"),
        ("hugepages-524288kB", "hugepages-512Mi"),
        ("hugepages-0kB", None),
        ("demote", None),
    ],
)
def test_huge_pages_are_named_as_the_kubelet_names_them(folder: str, expected: str | None) -> None:
    assert hugepage_name(folder) == expected


def test_a_page_size_that_cannot_be_read_leaves_the_others(lay_out: LayOut) -> None:
    pages = "/sys/kernel/mm/hugepages"
    root = lay_out({f"{pages}/hugepages-2048kB/nr_hugepages/": "", f"{pages}/hugepages-1048576kB/nr_hugepages": "4\n"})
    assert look(root)[0].attributes["memory.hugepages"] == {"enabled": "true", "hugepages-1Gi": "4"}


def test_one_numa_node_and_no_swap_have_no_label(lay_out: LayOut) -> None:
    features, labels = look(lay_out({"/sys/bus/node/devices/node0/": "", "/proc/swaps": "Filename Type\n"}))
    assert labels == {}
    assert features.attributes["memory.numa"] == {"is_numa": "false", "node_count": "1"}
    assert features.attributes["memory.swap"] == {"enabled": "false"}


@pytest.mark.parametrize(
    ("rotational", "labelled"), [(("1", "0"), True), (("1",), False), ((), False)], ids=["mixed", "disks only", "none"]
)
def test_one_disk_that_does_not_turn_is_enough(rotational: tuple[str, ...], *, labelled: bool) -> None:
    devices = tuple({"name": "sda", "rotational": value} for value in rotational)
    assert bool(label_block(Features(instances={"storage.block": devices}), SourceSettings())) is labelled


def test_virtual_interfaces_never_make_sriov_labels(lay_out: LayOut) -> None:
    net = "/sys/class/net"
    files = {
        f"{net}/bond0/operstate": "up\n",
        f"{net}/eth0/device/sriov_totalvfs": "0\n",
        f"{net}/bonding_masters": "bond0\n",
    }
    features, labels = look(lay_out(files))
    assert [device["name"] for device in features.instances["network.device"]] == ["eth0"]
    assert [device["name"] for device in features.instances["network.virtual"]] == ["bond0"]
    assert labels == {}


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
    assert labels == ({f"{PREFIX}{expected}.present": "true"} if expected else {})


def test_classes_are_compared_in_any_case() -> None:
    settings = SourceSettings(pci_device_class_whitelist=("0B40",))
    assert label_devices(Features(instances={"pci.device": (GPU | {"class": "0b40"},)}), settings)


def test_sriov_of_one_function_labels_the_whole_kind() -> None:
    for devices in ((GPU, GPU | {"sriov_totalvfs": "0"}), (GPU | {"sriov_totalvfs": "16"}, GPU)):
        labels = label_devices(Features(instances={"pci.device": devices}), SourceSettings())
        assert labels[f"{PREFIX}pci-0302_10de.sriov.capable"] == "true"


def test_fields_keep_their_own_order() -> None:
    assert select_fields(("c", "a"), ("a", "b", "c"), default=("b",)) == ("a", "c")


def test_usb_devices_that_leave_the_class_to_interfaces_count_once_each(lay_out: LayOut) -> None:
    stick = "/sys/bus/usb/devices/1-2"
    files = {f"{stick}/bDeviceClass": "00\n", f"{stick}/idVendor": "0781\n", f"{stick}/idProduct": "5583\n"}
    interfaces = {f"{stick}/1-2:1.{index}/bInterfaceClass": f"{code}\n" for index, code in enumerate(("0e", "03"))}
    features, labels = look(lay_out(files | interfaces))
    assert [device["class"] for device in features.instances["usb.device"]] == ["0e", "03"]
    assert labels == {"usb-0e_0781_5583.present": "true"}


def test_usb_labels_can_name_the_serial_number() -> None:
    device = {"class": "ff", "vendor": "1d6b", "device": "0002", "serial": "A1"}
    settings = SourceSettings(usb_device_label_fields=("serial", "vendor"))
    assert label_usb(Features(instances={"usb.device": (device,)}), settings) == {
        f"{PREFIX}usb-1d6b_A1.present": "true"
    }


@pytest.mark.parametrize(
    ("version", "parts"),
    [("24.04", ("24", "04")), ("12", ("12", None)), ("7.9.2009", ("7", "9")), ("rolling", (None, None))],
)
def test_version_ids_are_split_where_they_are_numbers(version: str, parts: tuple[str | None, ...]) -> None:
    release = parse_osrelease(f"ID='x'\nVERSION_ID=\"{version}\"\n# comment\n")
    assert (release["ID"], release["VERSION_ID"]) == ("x", version)
    assert (release.get("VERSION_ID.major"), release.get("VERSION_ID.minor")) == parts
