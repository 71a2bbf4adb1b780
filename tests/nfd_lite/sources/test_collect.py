from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from nfd_lite.sources import ALL, Host, Source, SourceSettings, collect
from node_core.domain.features import Features
from node_core.domain.labels import merge_collected
from node_core.errors import HostReadError
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
GPU = "/sys/bus/pci/devices/0000:3b:00.0"
PRESENT = "nvidia.com/gpu.present"
PCI_LABEL = "feature.node.kubernetes.io/pci-0302_10de.present"


def no_cpu(_root: HostRoot) -> CpuInfo:
    return CpuInfo(arch="x86_64", how="test")


def pci_function(folder: str, vendor: str = "0x10de\n", code: str = "0x030200\n") -> dict[str, str]:
    ids = {"device": "0x2330\n", "subsystem_vendor": "0x10de\n", "subsystem_device": "0x16c1\n"}
    return {f"{folder}/{name}": text for name, text in (ids | {"vendor": vendor, "class": code}).items()}


@dataclass(frozen=True, slots=True)
class CountingRoot(HostRoot):
    reads: Counter[str] = field(default_factory=Counter)

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        self.reads[host_path] += 1
        return HostRoot.read(self, host_path, limit=limit)

    def entries(self, host_path: str) -> tuple[str, ...]:
        self.reads[f"{host_path}/"] += 1
        return HostRoot.entries(self, host_path)


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)
def test_an_empty_host_is_no_failure_of_any_source(source: Source, empty_host: Host) -> None:
    collection = collect(empty_host, SourceSettings(), (source,))
    assert collection.errors == {}
    labels = merge_collected(collection.collected, {})
    # A processor always has a model; everything else needs a file that says so.
    assert {key.rpartition("/")[2].partition(".")[0] for key in labels} <= {"cpu-model"}


def test_every_part_is_named_after_its_source_and_owns_the_labels_it_makes(
    named_host: Callable[[str], Host],
) -> None:
    names = [part.name for source in ALL for part in source.parts]
    assert len(set(names)) == len(names)
    assert all(part.name.startswith(f"{source.name}.") for source in ALL for part in source.parts)
    for host in ("xeon-h100", "amd-vm", "arm64-board"):
        for entry in collect(named_host(host), SourceSettings()).collected:
            assert all(entry.owns_key(key) for key in entry.labels or {})


def test_no_part_owns_what_another_owns() -> None:
    owned = [(part.name, prefix) for source in ALL for part in source.parts for prefix in part.owns]
    assert not [
        (mine, theirs)
        for mine, prefix in owned
        for theirs, other in owned
        if mine != theirs and prefix.startswith(other)
    ]


def test_a_part_that_fails_keeps_its_labels_and_leaves_the_others_alone(lay_out: LayOut) -> None:
    root = lay_out({"/sys/fs/selinux/enforce": "", "/proc/sys/kernel/osrelease": "6.8.0\n"})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    prefix = "feature.node.kubernetes.io/kernel-"
    labels = merge_collected(collection.collected, {f"{prefix}selinux.enabled": "true", f"{prefix}version.full": "old"})
    assert labels[f"{prefix}selinux.enabled"] == "true"
    assert labels[f"{prefix}version.full"] == "6.8.0"
    assert list(collection.errors) == ["kernel.selinux"]


def test_a_failed_part_keeps_the_features_of_the_pass_before(lay_out: LayOut) -> None:
    host = Host(root=lay_out({"/sys/fs/selinux/enforce": ""}), cpu=no_cpu)
    before = Features(attributes={"kernel.selinux": {"enabled": "true"}, "kernel.version": {"full": "5"}})
    features = collect(host, SourceSettings(), before=before).features
    assert features.attributes["kernel.selinux"] == {"enabled": "true"}
    # The version was looked for with success and is not there.
    assert "kernel.version" not in features.attributes


def test_a_processor_that_cannot_be_read_costs_nothing_else(lay_out: LayOut) -> None:
    def broken(_root: HostRoot) -> CpuInfo:
        raise HostReadError("no CPUID")

    root = lay_out(
        {
            "/sys/bus/cpu/devices/cpu0/topology/thread_siblings_list": "0-1",
            "/sys/bus/cpu/devices/cpu0/topology/physical_package_id": "0",
            "/sys/module/kvm_amd/parameters/sev": "Y",
        }
    )
    collection = collect(Host(root=root, cpu=broken), SourceSettings())
    prefix = "feature.node.kubernetes.io/cpu-"
    known = {f"{prefix}cpuid.AVX": "true", f"{prefix}model.id": "6", f"{prefix}security.sgx.enabled": "true"}
    labels = merge_collected(collection.collected, known)
    assert set(collection.errors) == {"cpu.cpuid", "cpu.model", "cpu.rdt", "cpu.security"}
    assert labels.items() >= known.items()
    assert labels[f"{prefix}hardware_multithreading"] == "true"
    assert labels[f"{prefix}security.sev.enabled"] == "true"


def test_one_bad_pci_function_hides_no_other_and_removes_no_label(lay_out: LayOut) -> None:
    root = lay_out(
        pci_function(GPU, vendor="???") | pci_function("/sys/bus/pci/devices/0000:03:00.0", "0x1a03", "0x030000")
    )
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    labels = merge_collected(collection.collected, {PRESENT: "true", PCI_LABEL: "true"})
    assert labels[PRESENT] == labels[PCI_LABEL] == "true"
    assert labels["feature.node.kubernetes.io/pci-0300_1a03.present"] == "true"
    assert "0000:3b:00.0" in collection.errors["pci.device"]
    assert len(collection.features.instances["pci.device"]) == 1


def test_a_gpu_that_was_taken_out_loses_its_labels(lay_out: LayOut) -> None:
    root = lay_out({"/sys/bus/pci/devices/": ""})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    labels = merge_collected(collection.collected, {PRESENT: "true", PCI_LABEL: "true"})
    assert PRESENT not in labels
    assert PCI_LABEL not in labels


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("/sys/bus/pci/devices", "pci.device"),
        ("/sys/block", "storage.block"),
        ("/sys/class/net", "network.device"),
        ("/sys/bus/usb/devices", "usb.device"),
        ("/sys/bus/node/devices", "memory.numa"),
    ],
)
def test_a_folder_that_cannot_be_listed_removes_no_label(folder: str, part: str, lay_out: LayOut) -> None:
    # A link to itself: neither listing it nor looking at it succeeds.
    root = lay_out({folder: "-> " + folder.rpartition("/")[2]})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    assert part in collection.errors
    owns = next(entry.owns for entry in collection.collected if entry.name == part)
    known = {f"{prefix}x": "true" for prefix in owns} | ({PRESENT: "true"} if part == "pci.device" else {})
    assert merge_collected(collection.collected, known).items() >= known.items()


def test_simulated_functions_count_like_real_ones(empty_host: Host) -> None:
    host = replace(empty_host, extra_pci=({"class": "0302", "vendor": "10de", "device": "2330"},))
    labels = merge_collected(collect(host, SourceSettings()).collected, {})
    assert labels[PRESENT] == labels[PCI_LABEL] == "true"


def test_a_large_host_is_read_once(lay_out: LayOut) -> None:
    files = {"/proc/sys/kernel/osrelease": "6.8.0\n", "/proc/modules": "nvidia 1 0 - Live 0\n", "/proc/swaps": "head\n"}
    files["/lib/modules/6.8.0/modules.builtin"] = "kernel/ext4.ko\n"
    for cpu in range(128):
        folder = f"/sys/bus/cpu/devices/cpu{cpu}"
        files |= {f"{folder}/topology/thread_siblings_list": "0\n", f"{folder}/topology/physical_package_id": "0\n"}
        files[f"{folder}/cpufreq/base_frequency"] = "2000000\n"
    for index in range(100):
        files |= pci_function(f"/sys/bus/pci/devices/0000:{index:02x}:00.0")
        files |= {
            f"/sys/class/net/eth{index}/device/sriov_totalvfs": "8\n",
            f"/sys/block/sd{index}/queue/rotational": "0\n",
        }
    root = CountingRoot(lay_out(files).base)
    processors: list[HostRoot] = []

    def count(at: HostRoot) -> CpuInfo:
        processors.append(at)
        return no_cpu(at)

    assert collect(Host(root=root, cpu=count), SourceSettings()).errors == {}
    again = {path: times for path, times in root.reads.items() if times > 1}
    # Two parts ask for the list of processors, which is a listing and not a file of each.
    assert again == {"/sys/bus/cpu/devices/": 2}
    assert len(processors) == 1
    # Of a PCI function: five ids, NUMA node, two SR-IOV counts, two IOMMU attributes.
    assert sum(times for path, times in root.reads.items() if "/pci/devices/0000:01:00.0/" in path) == 10
