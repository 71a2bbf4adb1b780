"""Facts that help with scheduling and for which Node Feature Discovery has no label. Off by default.

Sources: kernel Documentation/ABI/testing/sysfs-class-net, sysfs-bus-pci, Documentation/admin-guide/pm/amd-pstate.rst, sysfs of modules,
selinuxfs.
"""

import re
from collections.abc import Iterator

from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    attributes,
    instances,
    is_count,
)
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels, sanitize

NIC = "extra.nic"
PCI_NUMA = "extra.pcinuma"
HOST = "extra.host"
_NET = "/sys/class/net"
_PCI = "/sys/bus/pci/devices"
_HOST = {
    "amd-pstate": "/sys/devices/system/cpu/amd_pstate/status",
    "nvidia-driver": "/sys/module/nvidia/version",
    "selinux": "/sys/fs/selinux/enforce",
}
"""Attribute -> file."""
_SELINUX = {"1": "enforcing", "0": "permissive"}


def read_nics(scan: ScanContext) -> ReadResult:
    """Reads the interfaces of devices: driver, and speed in Mbit/s if the link has a speed."""
    reader = PartialReader()
    names = [name for name in scan.root.entries(_NET) if scan.root.link_name(f"{_NET}/{name}/device/driver")]
    nics = tuple(_read_nic(reader, scan, name) for name in names)
    return reader.result(instances(NIC, nics))


def _read_nic(reader: PartialReader, scan: ScanContext, name: str) -> dict[str, str]:
    """Reads one interface. A link that is down has no speed, and some links that are up report -1."""
    driver = scan.root.link_name(f"{_NET}/{name}/device/driver") or ""
    is_up = reader.text(scan.root, f"{_NET}/{name}/operstate") == "up"
    speed = (reader.text(scan.root, f"{_NET}/{name}/speed") or "") if is_up else ""
    return {"name": name, "driver": driver, **({"speed": speed} if is_count(speed) else {})}


def label_nics(features: Features, _settings: SourceSettings) -> Labels:
    nics = features.instances.get(NIC, ())
    drivers = {sanitize(nic["driver"]) for nic in nics if nic["driver"]}
    speeds = [int(nic["speed"]) for nic in nics if "speed" in nic]
    labels = {f"extra-nic.driver.{driver}": "true" for driver in sorted(drivers) if driver}
    return labels | ({"extra-nic.speed": str(max(speeds))} if speeds else {})


def read_numa(scan: ScanContext) -> ReadResult:
    """Reads class, vendor and NUMA node of the PCI functions that belong to a NUMA node."""
    reader = PartialReader()
    devices = tuple(device for device in _read_numa(reader, scan) if is_count(device["numa_node"]))
    return reader.result(instances(PCI_NUMA, devices))


def _read_numa(reader: PartialReader, scan: ScanContext) -> Iterator[dict[str, str]]:
    for address in scan.root.entries(_PCI):
        folder = f"{_PCI}/{address}"
        texts = {name: reader.text(scan.root, f"{folder}/{name}") or "" for name in ("class", "vendor", "numa_node")}
        yield {
            "class": texts["class"].lower().removeprefix("0x")[:4],
            "vendor": texts["vendor"].lower().removeprefix("0x"),
            "numa_node": texts["numa_node"],
        }


def label_numa(features: Features, settings: SourceSettings) -> Labels:
    """Labels the PCI classes that the pci source labels with the NUMA nodes of their devices, such as `0_1`."""
    nodes: dict[str, set[int]] = {}
    for device in features.instances.get(PCI_NUMA, ()):
        if device["class"].startswith(tuple(settings.pci_device_class_whitelist)):
            nodes.setdefault(f"{device['class']}_{device['vendor']}", set()).add(int(device["numa_node"]))
    return {f"extra-pci-{key}.numa": "_".join(map(str, sorted(numbers))) for key, numbers in sorted(nodes.items())}


def read_host(scan: ScanContext) -> ReadResult:
    reader = PartialReader()
    texts = {name: reader.text(scan.root, file) for name, file in _HOST.items()}
    texts["selinux"] = _SELINUX.get(texts["selinux"] or "")
    return reader.result(attributes(HOST, {name: text for name, text in texts.items() if text}))


def label_host(features: Features, _settings: SourceSettings) -> Labels:
    values = features.attributes.get(HOST, {})
    version = re.sub(r"[^A-Za-z0-9_.-]", "", values.get("nvidia-driver", ""))[:63].strip("-_.")
    labels = {f"extra-{name}": values[name] for name in ("amd-pstate", "selinux") if name in values}
    return labels | ({"extra-nvidia-driver.loaded": version or "true"} if "nvidia-driver" in values else {})


EXTRA = (
    FeatureCollector(
        name=NIC,
        read=read_nics,
        labels=label_nics,
        owns=("extra-nic.",),
        declared=(
            LabelDeclaration(
                key="extra-nic.driver.<driver>",
                value="`true`",
                source=f"{_NET}/*/device/driver",
                presence="for each driver of a network device",
            ),
            LabelDeclaration(
                key="extra-nic.speed",
                value="speed of the fastest link in Mbit/s",
                source=f"{_NET}/*/speed",
                presence="with a network device whose link is up",
            ),
        ),
    ),
    FeatureCollector(
        name=PCI_NUMA,
        read=read_numa,
        labels=label_numa,
        owns=("extra-pci-",),
        declared=(
            LabelDeclaration(
                key="extra-pci-<class>_<vendor>.numa",
                value="NUMA nodes of these devices: `0_1`",
                source=f"{_PCI}/*/numa_node",
                presence="for each class in `sources.pci.deviceClassWhitelist`, if the kernel reports the NUMA node",
            ),
        ),
    ),
    FeatureCollector(
        name=HOST,
        read=read_host,
        labels=label_host,
        owns=tuple(f"extra-{name}" for name in ("amd-pstate", "nvidia-driver", "selinux")),
        declared=(
            LabelDeclaration(
                key="extra-amd-pstate",
                value="`active`, `passive` or `guided`",
                source=_HOST["amd-pstate"],
                presence="with the driver amd_pstate",
            ),
            LabelDeclaration(
                key="extra-nvidia-driver.loaded",
                value="version of the kernel module nvidia",
                source=_HOST["nvidia-driver"],
                presence="if the module is loaded",
            ),
            LabelDeclaration(
                key="extra-selinux",
                value="`enforcing` or `permissive`",
                source=_HOST["selinux"],
                presence="if SELinux is enabled",
            ),
        ),
    ),
)
