"""Facts that people schedule by and Node Feature Discovery has no label for. Off unless it is asked for; the names are ours.

Sources: kernel Documentation/ABI/testing/sysfs-class-net, sysfs-bus-pci, Documentation/admin-guide/pm/amd-pstate.rst, sysfs of modules,
selinuxfs.
"""

import re
from collections.abc import Iterator

from nfd_lite.sources.api import PREFIX, Found, Gathering, Look, Part, Source, SourceSettings, attributes, instances
from node_core.domain.features import Attributes, Features
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
"""Name -> file."""
_SELINUX = {"1": "enforcing", "0": "permissive"}


def read_nics(look: Look) -> Found:
    """Interfaces with a device behind them: driver, and speed in Mbit/s where the link has one."""
    gathering = Gathering()
    names = [name for name in look.root.entries(_NET) if look.root.link_name(f"{_NET}/{name}/device/driver")]
    found = tuple(_read_nic(gathering, look, name) for name in names)
    return gathering.found(instances(NIC, found))


def _read_nic(gathering: Gathering, look: Look, name: str) -> dict[str, str]:
    """A link that is down has no speed, and some that are up say -1."""
    driver = look.root.link_name(f"{_NET}/{name}/device/driver") or ""
    is_up = gathering.text(look.root, f"{_NET}/{name}/operstate") == "up"
    speed = (gathering.text(look.root, f"{_NET}/{name}/speed") or "") if is_up else ""
    return {"name": name, "driver": driver, **({"speed": speed} if speed.isdecimal() else {})}


def label_nics(features: Features, _settings: SourceSettings) -> Labels:
    nics = features.instances.get(NIC, ())
    drivers = {sanitize(nic["driver"]) for nic in nics if nic["driver"]}
    speeds = [int(nic["speed"]) for nic in nics if "speed" in nic]
    labels = {f"{PREFIX}extra-nic.driver.{driver}": "true" for driver in sorted(drivers) if driver}
    return labels | ({f"{PREFIX}extra-nic.speed": str(max(speeds))} if speeds else {})


def read_numa(look: Look) -> Found:
    """Class, vendor and NUMA node of the PCI functions that are near one."""
    gathering = Gathering()
    found = tuple(device for device in _read_numa(gathering, look) if device["numa_node"].isdecimal())
    return gathering.found(instances(PCI_NUMA, found))


def _read_numa(gathering: Gathering, look: Look) -> Iterator[dict[str, str]]:
    for address in look.root.entries(_PCI):
        folder = f"{_PCI}/{address}"
        texts = {name: gathering.text(look.root, f"{folder}/{name}") or "" for name in ("class", "vendor", "numa_node")}
        yield {
            "class": texts["class"].removeprefix("0x")[:4],
            "vendor": texts["vendor"].removeprefix("0x"),
            "numa_node": texts["numa_node"],
        }


def label_numa(features: Features, settings: SourceSettings) -> Labels:
    """For the classes that `pci` labels: which NUMA nodes have such a device, `0_1`."""
    nodes: dict[str, set[int]] = {}
    for device in features.instances.get(PCI_NUMA, ()):
        if device["class"].startswith(tuple(settings.pci_device_class_whitelist)):
            nodes.setdefault(f"{device['class']}_{device['vendor']}", set()).add(int(device["numa_node"]))
    return {f"{PREFIX}extra-pci-{key}.numa": "_".join(map(str, sorted(found))) for key, found in sorted(nodes.items())}


def read_host(look: Look) -> Found:
    gathering = Gathering()
    read = {name: gathering.text(look.root, file) for name, file in _HOST.items()}
    found = {name: text for name, text in read.items() if text}
    return gathering.found(attributes(HOST, _spelled(found)))


def _spelled(found: dict[str, str]) -> Attributes:
    selinux = {"selinux": _SELINUX[found["selinux"]]} if found.get("selinux") in _SELINUX else {}
    return {name: text for name, text in found.items() if name != "selinux"} | selinux


def label_host(features: Features, _settings: SourceSettings) -> Labels:
    found = features.attributes.get(HOST, {})
    version = re.sub(r"[^A-Za-z0-9_.-]", "", found.get("nvidia-driver", ""))[:63].strip("-_.")
    labels = {f"{PREFIX}extra-{name}": found[name] for name in ("amd-pstate", "selinux") if name in found}
    return labels | ({f"{PREFIX}extra-nvidia-driver.loaded": version or "true"} if "nvidia-driver" in found else {})


EXTRA = Source(
    name="extra",
    parts=(
        Part(name=NIC, read=read_nics, labels=label_nics, owns=(f"{PREFIX}extra-nic.",)),
        Part(name=PCI_NUMA, read=read_numa, labels=label_numa, owns=(f"{PREFIX}extra-pci-",)),
        Part(
            name=HOST,
            read=read_host,
            labels=label_host,
            owns=tuple(f"{PREFIX}extra-{name}" for name in ("amd-pstate", "nvidia-driver", "selinux")),
        ),
    ),
)
