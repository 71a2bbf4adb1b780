"""Scans of small hosts, for the tests of sources."""

from collections.abc import Callable

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.label_keys import PREFIX
from nfd_lite.sources import ALL, Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU
from node_core.domain.desired import merge_labels
from node_core.domain.features import Features
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
CPUS = "/sys/bus/cpu/devices"
SYSTEM = "/sys/devices/system/cpu"


def scan(root: HostRoot, settings: SourceSettings | None = None) -> tuple[Features, dict[str, str]]:
    """Scans all sources except the processor. Returns the features, and the labels without their prefix."""
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="test"))
    collection = collect(host, settings or SourceSettings(), [each for each in ALL if each.source != "cpu"])
    labels = merge_labels(collection.results, {})
    return collection.features, {key.removeprefix(PREFIX): value for key, value in labels.items()}


def scan_cpu(root: HostRoot, info: CpuInfo | None = None) -> dict[str, str]:
    """Scans the processor. Returns the labels without `cpu-`, and without the model."""
    info = info or CpuInfo(arch="x86_64", method="test")
    collection = collect(Host(root=root, cpu=lambda _root: info), SourceSettings(), CPU)
    merged = merge_labels(collection.results, {})
    return {key.removeprefix(f"{PREFIX}cpu-"): value for key, value in merged.items() if "cpu-model" not in key}
