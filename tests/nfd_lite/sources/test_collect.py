import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks import large_host
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


def test_no_file_of_a_large_host_is_opened_twice_in_a_pass(tmp_path: Path) -> None:
    root = CountingRoot(large_host.lay_out(tmp_path).base)
    processors: list[HostRoot] = []

    def count(at: HostRoot) -> CpuInfo:
        processors.append(at)
        return no_cpu(at)

    host = Host(root=root, cpu=count)
    first = collect(host, SourceSettings())
    assert first.errors == {}
    assert len(first.features.instances["pci.device"]) == large_host.FUNCTIONS
    assert not [path for path, times in root.reads.items() if times > 1]
    assert len(processors) == 1
    root.reads.clear()
    again = collect(host, SourceSettings(), before=first.features)
    assert (again.features, again.collected) == (first.features, first.collected)
    assert not [path for path, times in root.reads.items() if times > 1]
    assert not [
        path for path in root.reads if path.endswith(("/vendor", "/class", "modules.builtin")) or "config" in path
    ]


def test_what_is_kept_between_passes_is_read_again_when_it_changed(lay_out: LayOut) -> None:
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


def test_a_source_that_is_not_chosen_is_not_read_and_rules_know_nothing_of_it(lay_out: LayOut) -> None:
    root = CountingRoot(lay_out({"/proc/sys/kernel/osrelease": "6.8.0\n", "/proc/swaps": "head\n"}).base)
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings(feature_sources=frozenset({"kernel"})))
    assert set(collection.features.attributes) == {"kernel.version", "kernel.selinux", "kernel.kvm"}
    assert root.reads["/proc/swaps"] == 0


def test_the_gpu_label_does_not_depend_on_the_chosen_sources(lay_out: LayOut) -> None:
    root = lay_out(pci_function(GPU))
    collection = collect(Host(root=root, cpu=no_cpu), SourceSettings(feature_sources=frozenset()))
    assert merge_collected(collection.collected, {PCI_LABEL: "true"}) == {PRESENT: "true"}
    assert collection.features == Features()


def test_the_fake_source_is_off_unless_it_is_asked_for(empty_host: Host) -> None:
    assert not [name for name in collect(empty_host, SourceSettings()).features.attributes if name.startswith("fake.")]
    collection = collect(empty_host, SourceSettings(feature_sources=frozenset({"fake"})))
    labels = merge_collected(collection.collected, {})
    assert labels == {f"feature.node.kubernetes.io/fake-fakefeature{number}": "true" for number in (1, 2, 3)}
    features = collection.features
    assert features.flags == {"fake.flag": {"flag_1", "flag_2", "flag_3"}}
    assert features.attributes == {"fake.attribute": {"attr_1": "true", "attr_2": "false", "attr_3": "10"}}
    assert [instance["name"] for instance in features.instances["fake.instance"]] == [
        "instance_1",
        "instance_2",
        "instance_3",
    ]
