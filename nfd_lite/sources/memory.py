"""NUMA, swap, non-volatile memory and huge pages.

Sources: proc(5), kernel Documentation/admin-guide/mm/hugetlbpage.rst, Documentation/driver-api/nvdimm/nvdimm.rst,
Documentation/ABI/stable/sysfs-devices-node.
"""

from nfd_lite.hugepages import hugepage_name
from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    attributes,
    bool_text,
    instances,
    is_positive,
    read_attribute_files,
    true_attribute_collector,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

NUMA = "memory.numa"
SWAP = "memory.swap"
NV = "memory.nv"
HUGEPAGES = "memory.hugepages"
_NODES = "/sys/bus/node/devices"
_SWAPS = "/proc/swaps"
_NVDIMMS = "/sys/bus/nd/devices"
_HUGEPAGES = "/sys/kernel/mm/hugepages"


def read_numa(scan: ScanContext) -> ReadResult:
    nodes = len(scan.root.entries(_NODES))
    return attributes(NUMA, {"is_numa": bool_text(nodes > 1), "node_count": str(nodes)}) if nodes else Features()


def read_swap(scan: ScanContext) -> ReadResult:
    text = scan.root.text(_SWAPS)
    return Features() if text is None else attributes(SWAP, {"enabled": bool_text(has_swap(text))})


def has_swap(text: str) -> bool:
    """Returns whether /proc/swaps has a line after its header."""
    return sum(1 for line in text.splitlines() if line.strip()) > 1


def read_nv(scan: ScanContext) -> ReadResult:
    reader = PartialReader()
    names = {"devtype": "devtype", "mode": "mode"}
    devices = tuple(
        {"name": name, **read_attribute_files(reader, scan.root, f"{_NVDIMMS}/{name}", names)}
        for name in scan.root.entries(_NVDIMMS)
    )
    return reader.result(instances(NV, devices))


def label_nv(features: Features, _settings: SourceSettings) -> Labels:
    """An NVDIMM bus without devices is not memory: the kernel creates it on each machine whose firmware describes NVDIMM slots."""
    devices = [device for device in features.instances.get(NV, ()) if not device["name"].startswith("ndbus")]
    dax = any(device.get("devtype") == "nd_dax" for device in devices)
    return true_labels({"memory-nv.present": bool(devices), "memory-nv.dax": dax})


def read_hugepages(scan: ScanContext) -> ReadResult:
    reader = PartialReader()
    files = {name: f"{size}/nr_hugepages" for size in scan.root.entries(_HUGEPAGES) if (name := hugepage_name(size))}
    pages = read_attribute_files(reader, scan.root, _HUGEPAGES, files)
    enabled = any(map(is_positive, pages.values()))
    return reader.result(attributes(HUGEPAGES, {"enabled": bool_text(enabled), **pages}))


MEMORY = (
    true_attribute_collector(
        NUMA,
        read_numa,
        {"memory-numa": "is_numa"},
        LabelDeclaration(key="memory-numa", value="`true`", source=_NODES, presence="with several NUMA nodes"),
    ),
    true_attribute_collector(
        SWAP,
        read_swap,
        {"memory-swap": "enabled"},
        LabelDeclaration(key="memory-swap", value="`true`", source=_SWAPS, presence="with swap space in use"),
    ),
    FeatureCollector(
        name=NV,
        read=read_nv,
        labels=label_nv,
        owns=("memory-nv.",),
        declared=(
            LabelDeclaration(
                key="memory-nv.present", value="`true`", source=_NVDIMMS, presence="with non-volatile memory"
            ),
            LabelDeclaration(
                key="memory-nv.dax",
                value="`true`",
                source=f"{_NVDIMMS}/*/devtype",
                presence="with non-volatile memory in DAX mode",
            ),
        ),
    ),
    FeatureCollector(name=HUGEPAGES, read=read_hugepages),
)
