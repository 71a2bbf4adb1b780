"""Scans of all sources."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import large_host
from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import ALL, FakeSettings, Host, SourceSettings, collect
from nfd_lite.sources.api import FeatureCollector
from node_core.domain.desired import merge_labels
from node_core.domain.features import Features
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.values import replace

LayOut = Callable[[dict[str, str]], HostRoot]
GPU = "/sys/bus/pci/devices/0000:3b:00.0"
PRESENT = "nvidia.com/gpu.present"
PCI_LABEL = "feature.node.kubernetes.io/pci-0302_10de.present"


def no_cpu(_root: HostRoot) -> CpuInfo:
    return CpuInfo(arch="x86_64", method="test")


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


@pytest.mark.parametrize("collector", ALL, ids=lambda each: each.name)
def test_no_collector_fails_on_an_empty_host(collector: FeatureCollector, empty_host: Host) -> None:
    collection = collect(empty_host, SourceSettings(), (collector,))
    assert collection.errors == {}
    labels = merge_labels(collection.results, {})
    # A processor always has a model. All other labels need a file.
    assert {key.rpartition("/")[2].partition(".")[0] for key in labels} <= {"cpu-model"}


def test_collectors_have_different_names_and_own_their_labels(
    named_host: Callable[[str], Host],
) -> None:
    assert len({each.name for each in ALL}) == len(ALL)
    for host in ("xeon-h100", "amd-vm", "arm64-board"):
        for entry in collect(named_host(host), SourceSettings()).results:
            assert all(key.startswith(entry.owns) for key in entry.labels or {})


def test_collectors_own_different_labels() -> None:
    owned = [(each.name, prefix) for each in ALL for prefix in each.owns]
    assert not [
        (one, another)
        for one, prefix in owned
        for another, other in owned
        if one != another and prefix.startswith(other)
    ]


def test_a_failed_collector_retains_its_labels_and_affects_no_other(lay_out: LayOut) -> None:
    root = lay_out({"/sys/fs/selinux/enforce": "", "/proc/sys/kernel/osrelease": "6.8.0\n"})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    prefix = "feature.node.kubernetes.io/kernel-"
    labels = merge_labels(collection.results, {f"{prefix}selinux.enabled": "true", f"{prefix}version.full": "old"})
    assert labels[f"{prefix}selinux.enabled"] == "true"
    assert labels[f"{prefix}version.full"] == "6.8.0"
    assert list(collection.errors) == ["kernel.selinux"]


def test_a_failed_collector_retains_its_previous_features(lay_out: LayOut) -> None:
    host = Host(root=lay_out({"/sys/fs/selinux/enforce": ""}), cpu=no_cpu)
    previous = Features(attributes={"kernel.selinux": {"enabled": "true"}, "kernel.version": {"full": "5"}})
    features = collect(host, SourceSettings(), previous=previous).features
    assert features.attributes["kernel.selinux"] == {"enabled": "true"}
    # The read succeeded, and the version does not exist.
    assert "kernel.version" not in features.attributes


def test_an_unreadable_processor_affects_no_other_source(lay_out: LayOut) -> None:
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
    labels = merge_labels(collection.results, known)
    assert set(collection.errors) == {"cpu.cpuid", "cpu.model", "cpu.rdt", "cpu.security"}
    assert labels.items() >= known.items()
    assert labels[f"{prefix}hardware_multithreading"] == "true"
    assert labels[f"{prefix}security.sev.enabled"] == "true"


def test_an_unreadable_pci_function_hides_no_other_and_removes_no_label(lay_out: LayOut) -> None:
    root = lay_out(
        pci_function(GPU, vendor="???") | pci_function("/sys/bus/pci/devices/0000:03:00.0", "0x1a03", "0x030000")
    )
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    labels = merge_labels(collection.results, {PRESENT: "true", PCI_LABEL: "true"})
    assert labels[PRESENT] == labels[PCI_LABEL] == "true"
    assert labels["feature.node.kubernetes.io/pci-0300_1a03.present"] == "true"
    assert "0000:3b:00.0" in collection.errors["pci.device"]
    assert len(collection.features.instances["pci.device"]) == 1


def test_the_labels_of_a_removed_gpu_are_removed(lay_out: LayOut) -> None:
    root = lay_out({"/sys/bus/pci/devices/": ""})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    labels = merge_labels(collection.results, {PRESENT: "true", PCI_LABEL: "true"})
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
    # A link to itself can neither be listed nor read.
    root = lay_out({folder: "-> " + folder.rpartition("/")[2]})
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings())
    assert part in collection.errors
    owns = next(entry.owns for entry in collection.results if entry.name == part)
    known = {f"{prefix}x": "true" for prefix in owns} | ({PRESENT: "true"} if part == "pci.device" else {})
    assert merge_labels(collection.results, known).items() >= known.items()


def test_simulated_pci_functions_are_labelled_like_real_ones(empty_host: Host) -> None:
    host = replace(empty_host, extra_pci=({"class": "0302", "vendor": "10de", "device": "2330"},))
    labels = merge_labels(collect(host, SourceSettings()).results, {})
    assert labels[PRESENT] == labels[PCI_LABEL] == "true"


def test_a_scan_opens_no_file_twice(tmp_path: Path) -> None:
    root = CountingRoot(large_host.lay_out(tmp_path).base)
    processors: list[HostRoot] = []

    def count(at: HostRoot) -> CpuInfo:
        processors.append(at)
        return replace(no_cpu(at), hypervisor="none")

    host = Host(root=root, cpu=count)
    first = collect(host, SourceSettings())
    assert first.errors == {}
    assert len(first.features.instances["pci.device"]) == large_host.FUNCTIONS
    assert not [path for path, times in root.reads.items() if times > 1]
    assert len(processors) == 1
    root.reads.clear()
    again = collect(host, SourceSettings(), previous=first.features)
    assert (again.features, again.results) == (first.features, first.results)
    assert not [path for path, times in root.reads.items() if times > 1]
    assert not [
        path for path in root.reads if path.endswith(("/vendor", "/class", "modules.builtin")) or "config" in path
    ]


def test_cached_values_are_read_again_after_a_change(lay_out: LayOut) -> None:
    config, builtin = "/boot/config-6.8.0", "/lib/modules/6.8.0/modules.builtin"
    root = lay_out(
        {"/proc/sys/kernel/osrelease": "6.8.0\n", config: "CONFIG_NO_HZ=y\n", builtin: "kernel/ext4.ko\n"}
        | pci_function(GPU)
    )
    host = Host(root=root, cpu=no_cpu)
    assert collect(host, SourceSettings()).features.flags["kernel.enabledmodule"] == {"ext4"}
    root.path(builtin).write_text("kernel/xfs.ko.\n")
    root.path(config).write_text("CONFIG_PREEMPT=y\n")
    shutil.rmtree(root.path(GPU))
    lay_out(pci_function(GPU, vendor="0x1002"))
    features = collect(host, SourceSettings()).features
    assert features.flags["kernel.enabledmodule"] == {"xfs.ko."}
    assert features.attributes["kernel.config"] == {"PREEMPT": "y"}
    assert features.instances["pci.device"][0]["vendor"] == "1002"
    root.path(config).unlink()
    assert "kernel.config" not in collect(host, SourceSettings()).features.attributes


def test_a_disabled_source_is_not_read(lay_out: LayOut) -> None:
    root = CountingRoot(lay_out({"/proc/sys/kernel/osrelease": "6.8.0\n", "/proc/swaps": "head\n"}).base)
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings(feature_sources=frozenset({"kernel"})))
    assert set(collection.features.attributes) == {"kernel.version", "kernel.selinux", "kernel.kvm"}
    assert root.reads["/proc/swaps"] == 0


def test_the_gpu_label_does_not_depend_on_the_enabled_sources(lay_out: LayOut) -> None:
    root = lay_out(pci_function(GPU))
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings(feature_sources=frozenset()))
    assert merge_labels(collection.results, {PCI_LABEL: "true"}) == {PRESENT: "true"}
    assert collection.features == Features()


def test_the_fake_source_is_off_by_default(empty_host: Host) -> None:
    assert not [name for name in collect(empty_host, SourceSettings()).features.attributes if name.startswith("fake.")]
    collection = collect(empty_host, SourceSettings(feature_sources=frozenset({"fake"})))
    labels = merge_labels(collection.results, {})
    assert labels == {f"feature.node.kubernetes.io/fake-fakefeature{number}": "true" for number in (1, 2, 3)}
    features = collection.features
    assert features.flags == {"fake.flag": {"flag_1", "flag_2", "flag_3"}}
    assert features.attributes == {"fake.attribute": {"attr_1": "true", "attr_2": "false", "attr_3": "10"}}
    assert [instance["name"] for instance in features.instances["fake.instance"]] == [
        "instance_1",
        "instance_2",
        "instance_3",
    ]


def test_a_label_of_the_fake_source_may_have_a_namespace(empty_host: Host) -> None:
    fake = FakeSettings(labels={"x": "1", "vendor.example.com/x": "2"})
    collection = collect(empty_host, SourceSettings(feature_sources=frozenset({"fake"}), fake=fake))
    assert merge_labels(collection.results, {}) == {
        "feature.node.kubernetes.io/fake-x": "1",
        "vendor.example.com/x": "2",
    }
