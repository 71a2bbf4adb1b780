"""NUMA, swap, non-volatile memory and huge pages.

Sources: proc(5), kernel Documentation/admin-guide/mm/hugetlbpage.rst, Documentation/driver-api/nvdimm/nvdimm.rst,
Documentation/ABI/stable/sysfs-devices-node.
"""

import re

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    attributes,
    instances,
    is_positive,
    no_labels,
    read_present,
    spell,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels

NUMA = "memory.numa"
SWAP = "memory.swap"
NV = "memory.nv"
HUGEPAGES = "memory.hugepages"
_HUGEPAGES = "/sys/kernel/mm/hugepages"


def read_numa(look: Look) -> Found:
    nodes = len(look.root.entries("/sys/bus/node/devices"))
    return attributes(NUMA, {"is_numa": spell(nodes > 1), "node_count": str(nodes)}) if nodes else Features()


def label_numa(features: Features, _settings: SourceSettings) -> Labels:
    return true_labels({"memory-numa": features.attributes.get(NUMA, {}).get("is_numa") == "true"})


def read_swap(look: Look) -> Found:
    text = look.root.text("/proc/swaps")
    return Features() if text is None else attributes(SWAP, {"enabled": spell(has_swap(text))})


def has_swap(text: str) -> bool:
    """Whether /proc/swaps has more than its header."""
    return sum(1 for line in text.splitlines() if line.strip()) > 1


def label_swap(features: Features, _settings: SourceSettings) -> Labels:
    return true_labels({"memory-swap": features.attributes.get(SWAP, {}).get("enabled") == "true"})


def read_nv(look: Look) -> Found:
    folder, gathering = "/sys/bus/nd/devices", Gathering()
    names = {"devtype": "devtype", "mode": "mode"}
    devices = tuple(
        {"name": name, **read_present(gathering, look.root, f"{folder}/{name}", names)}
        for name in look.root.entries(folder)
    )
    return gathering.found(instances(NV, devices))


def label_nv(features: Features, _settings: SourceSettings) -> Labels:
    devices = features.instances.get(NV, ())
    dax = any(device.get("devtype") == "nd_dax" for device in devices)
    return true_labels({"memory-nv.present": bool(devices), "memory-nv.dax": dax})


def read_hugepages(look: Look) -> Found:
    gathering = Gathering()
    files = {name: f"{size}/nr_hugepages" for size in look.root.entries(_HUGEPAGES) if (name := hugepage_name(size))}
    pages = read_present(gathering, look.root, _HUGEPAGES, files)
    enabled = any(map(is_positive, pages.values()))
    return gathering.found(attributes(HUGEPAGES, {"enabled": spell(enabled), **pages}))


def hugepage_name(folder: str) -> str | None:
    """`hugepages-2048kB` -> `hugepages-2Mi`, the resource name that the kubelet uses; None for any other folder."""
    match = re.fullmatch(r"hugepages-([1-9]\d*)kB", folder)
    if match is None:
        return None
    size, units = int(match[1]), ["Ki", "Mi", "Gi", "Ti"]
    while size % 1024 == 0 and len(units) > 1:
        size, units = size // 1024, units[1:]
    return f"hugepages-{size}{units[0]}"


MEMORY = Source(
    name="memory",
    parts=(
        Part(name=NUMA, read=read_numa, labels=label_numa, owns=(f"{PREFIX}memory-numa",)),
        Part(name=SWAP, read=read_swap, labels=label_swap, owns=(f"{PREFIX}memory-swap",)),
        Part(name=NV, read=read_nv, labels=label_nv, owns=(f"{PREFIX}memory-nv.",)),
        Part(name=HUGEPAGES, read=read_hugepages, labels=no_labels),
    ),
)
