"""The labels of each source on each kind of server, written by hand. See tests/roots/README.md for the captured hosts."""

from collections.abc import Callable

import pytest

from nfd_lite.cpu.cpuinfo import parse_cpuinfo, translate_flags
from nfd_lite.sources import ALL, Host, SourceSettings, collect
from node_core.domain.desired import merge_labels

PREFIX = "feature.node.kubernetes.io/"
NamedHost = Callable[[str], Host]

EXPECTED = {
    "icelake-sriov": {
        "cpu": "cpu-hardware_multithreading=true cpu-cstate.enabled=true cpu-pstate.status=passive cpu-pstate.turbo=false "
        "cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=106 cpu-model.hypervisor=none",
        "kernel": "kernel-config.NO_HZ=true kernel-config.NO_HZ_FULL=true kernel-selinux.enabled=true kernel-version.major=5 "
        "kernel-version.full=5.14.0-427.13.1.el9_4.x86_64 kernel-version.minor=14 kernel-version.revision=0",
        "memory": "memory-numa=true",
        "network": "network-sriov.capable=true network-sriov.configured=true",
        "pci": "pci-0300_1a03.present=true pci-0b40_8086.present=true pci-0b40_8086.sriov.capable=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=rhel system-os_release.VERSION_ID=9.4 system-os_release.VERSION_ID.major=9 "
        "system-os_release.VERSION_ID.minor=4",
        "usb": "usb-ef_046b_ffb0.present=true usb-ff_0403_6001.present=true",
        "local": "example.com/row=b rack=r12 raid-level=6",
    },
    "epyc-genoa": {
        "cpu": "cpu-hardware_multithreading=true cpu-security.sev.enabled=true cpu-security.sev.es.enabled=true "
        "cpu-security.sev.snp.enabled=true cpu-model.vendor_id=AMD cpu-model.family=25 cpu-model.id=17 cpu-model.hypervisor=none",
        "kernel": "kernel-config.NO_HZ=true kernel-config.NO_HZ_IDLE=true kernel-config.PREEMPT=true kernel-version.major=6 "
        "kernel-version.full=6.6.54-flatcar kernel-version.minor=6 kernel-version.revision=54",
        "memory": "memory-numa=true",
        "network": "",
        "pci": "pci-0300_1a03.present=true pci-0302_10de.present=true pci-0302_10de.sriov.capable=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=flatcar system-os_release.VERSION_ID=3975.2.0 system-os_release.VERSION_ID.major=3975 "
        "system-os_release.VERSION_ID.minor=2",
        "usb": "",
        "local": "",
    },
    "grace-hopper": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=ARM cpu-model.family=15 cpu-model.id=54512",
        "kernel": "kernel-config.NO_HZ=true kernel-config.NO_HZ_FULL=true kernel-version.full=6.5.0-1019-nvidia-64k "
        "kernel-version.major=6 kernel-version.minor=5 kernel-version.revision=0",
        "memory": "memory-numa=true",
        "network": "network-sriov.capable=true",
        "pci": "pci-0300_1a03.present=true pci-0302_10de.present=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=ubuntu system-os_release.VERSION_ID=22.04 system-os_release.VERSION_ID.major=22 "
        "system-os_release.VERSION_ID.minor=04",
        "usb": "",
        "local": "",
    },
    "xeon-4108-sriov": {
        "cpu": "cpu-hardware_multithreading=true cpu-pstate.status=active cpu-pstate.turbo=true cpu-model.vendor_id=Intel "
        "cpu-model.family=6 cpu-model.id=85 cpu-model.hypervisor=none",
        "kernel": "kernel-version.full=3.10.0-1160.15.2.el7.x86_64 kernel-version.major=3 kernel-version.minor=10 "
        "kernel-version.revision=0",
        "memory": "memory-numa=true",
        "network": "network-sriov.capable=true",
        "pci": "pci-0b40_1bcf.present=true",
        **dict.fromkeys(("storage", "system", "usb", "local"), ""),
    },
    "xeon-5317": {
        "cpu": "cpu-hardware_multithreading=true cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=106 "
        "cpu-model.hypervisor=none",
        "kernel": "kernel-version.full=6.1.29 kernel-version.major=6 kernel-version.minor=1 kernel-version.revision=29",
        "pci": "pci-0300_1a03.present=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=nixos system-os_release.VERSION_ID=22.11 system-os_release.VERSION_ID.major=22 "
        "system-os_release.VERSION_ID.minor=11",
        **dict.fromkeys(("memory", "network", "usb", "local"), ""),
    },
    "xeon-l5640-vfs": {
        "cpu": "cpu-hardware_multithreading=true cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=44 "
        "cpu-model.hypervisor=none",
        "memory": "memory-numa=true",
        "pci": "pci-0300_102b.present=true",
        **dict.fromkeys(("kernel", "network", "storage", "system", "usb", "local"), ""),
    },
    "epyc-7451": {
        "cpu": "cpu-hardware_multithreading=true cpu-model.vendor_id=AMD cpu-model.family=23 cpu-model.id=1 "
        "cpu-model.hypervisor=none",
        "memory": "memory-numa=true",
        **dict.fromkeys(("kernel", "network", "pci", "storage", "system", "usb", "local"), ""),
    },
    "epyc-9334-sriov": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=AMD cpu-model.family=25 cpu-model.id=17 cpu-model.hypervisor=none",
        "kernel": "kernel-version.full=6.16.9 kernel-version.major=6 kernel-version.minor=16 kernel-version.revision=9",
        "network": "network-sriov.capable=true network-sriov.configured=true",
        "pci": "pci-0300_102b.present=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=nixos system-os_release.VERSION_ID=25.05 system-os_release.VERSION_ID.major=25 "
        "system-os_release.VERSION_ID.minor=05",
        **dict.fromkeys(("memory", "usb", "local"), ""),
    },
    "graviton2": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=ARM cpu-model.family=63 cpu-model.id=53441",
        "storage": "storage-nonrotationaldisk=true",
        **dict.fromkeys(("kernel", "memory", "network", "pci", "system", "usb", "local"), ""),
    },
    "kvm-p100": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=79 "
        "cpu-model.hypervisor=unknown",
        "pci": "pci-0300_1af4.present=true pci-0302_10de.present=true",
        **dict.fromkeys(("kernel", "memory", "network", "storage", "system", "usb", "local"), ""),
    },
    "power9-v100": {
        "cpu": "cpu-hardware_multithreading=true cpu-model.vendor_id=VendorUnknown cpu-model.family=0 cpu-model.id=0",
        "kernel": "kernel-version.full=4.14.0-49.el7a.bz1553205.page_fault_hang.ppc64le kernel-version.major=4 "
        "kernel-version.minor=14 kernel-version.revision=0",
        "memory": "memory-numa=true",
        **dict.fromkeys(("network", "pci", "storage", "system", "usb", "local"), ""),
    },
    "debian-13": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=158 "
        "cpu-model.hypervisor=none",
        "kernel": "kernel-version.full=6.12.57_deb13-amd64 kernel-version.major=6 kernel-version.minor=12 "
        "kernel-version.revision=57",
        "system": "system-os_release.ID=debian system-os_release.VERSION_ID=13 system-os_release.VERSION_ID.major=13",
        **dict.fromkeys(("memory", "network", "pci", "storage", "usb", "local"), ""),
    },
    "ec2-m6g": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=ARM cpu-model.family=63 cpu-model.id=53441 "
        "cpu-model.hypervisor=kvm",
        "kernel": "kernel-version.full=6.1.141-155.222.amzn2023.aarch64 kernel-version.major=6 kernel-version.minor=1 "
        "kernel-version.revision=141",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=amzn system-os_release.VERSION_ID=2023 system-os_release.VERSION_ID.major=2023",
        **dict.fromkeys(("memory", "network", "pci", "usb", "local"), ""),
    },
    "raspberry-pi": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=ARM cpu-model.family=15 cpu-model.id=53379",
        "kernel": "kernel-version.full=6.6.51_rpt-rpi-v8 kernel-version.major=6 kernel-version.minor=6 "
        "kernel-version.revision=51",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=debian system-os_release.VERSION_ID=12 system-os_release.VERSION_ID.major=12",
        **dict.fromkeys(("memory", "network", "pci", "usb", "local"), ""),
    },
    "rhcos-4.19": {
        "cpu": "cpu-hardware_multithreading=false cpu-model.vendor_id=Intel cpu-model.family=6 cpu-model.id=106 "
        "cpu-model.hypervisor=unknown",
        "kernel": "kernel-selinux.enabled=true kernel-version.full=5.14.0-570.22.1.el9_6.x86_64 kernel-version.major=5 "
        "kernel-version.minor=14 kernel-version.revision=0",
        "system": "system-os_release.ID=rhel system-os_release.VERSION_ID=9.6 system-os_release.VERSION_ID.major=9 "
        "system-os_release.VERSION_ID.minor=6 system-os_release.OPENSHIFT_VERSION=4.19 "
        "system-os_release.OSTREE_VERSION=9.6.20250611-0",
        **dict.fromkeys(("memory", "network", "pci", "storage", "usb", "local"), ""),
    },
    "rhcos-4.22": {
        "kernel": "kernel-selinux.enabled=true kernel-version.full=5.14.0-687.5.1.el9_8.x86_64 kernel-version.major=5 "
        "kernel-version.minor=14 kernel-version.revision=0",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=rhel system-os_release.VERSION_ID=9.8 system-os_release.VERSION_ID.major=9 "
        "system-os_release.VERSION_ID.minor=8 system-os_release.OPENSHIFT_VERSION=4.22 "
        "system-os_release.OSTREE_VERSION=9.8.20260712-0",
    },
    "talos-i915": {
        "kernel": "kernel-version.full=6.1.82-talos kernel-version.major=6 kernel-version.minor=1 kernel-version.revision=82",
        "pci": "pci-0300_8086.present=true pci-0380_8086.present=true",
        "storage": "storage-nonrotationaldisk=true",
        "system": "system-os_release.ID=talos system-os_release.VERSION_ID=v1.6.6 system-os_release.VERSION_ID.major=1 "
        "system-os_release.VERSION_ID.minor=6",
    },
    "empty": {
        "cpu": "cpu-model.vendor_id=VendorUnknown cpu-model.family=0 cpu-model.id=0",
        **dict.fromkeys(("kernel", "memory", "network", "pci", "storage", "system", "usb", "local"), ""),
    },
}

GENOA = """
ADX AESNI AVX AVX2 CLZERO CMPXCHG8 CPBOOST FMA3 FP256 FXSR FXSROPT IBPB IBRS IBRS_PREFERRED IBRS_PROVIDES_SMP IBS IBSBRNTRGT IBSFETCHSAM
IBSFFV IBSOPCNT IBSOPCNTEXT IBSOPSAM IBSRDWROPCNT IBSRIPINVALIDCHK IBS_FETCH_CTLX IBS_OPFUSE INT_WBINVD LAHF LBRVIRT MCAOVERFLOW
MOVBE MOVU MSRIRC NRIPS OSXSAVE PPIN RDPRU SEV SEV_ES SHA SME SPEC_CTRL_SSBD SSE4A STIBP STIBP_ALWAYSON SUCCOR SVM SVMDA
SVMFBASID SVML SVMNP SVMPF SVMPFT SYSCALL SYSEE TOPEXT TSCRATEMSR VMCBCLEAN VTE WBNOINVD X87 XGETBV1 XSAVE XSAVEC XSAVEOPT XSAVES
CETSS EFER_LMSLE_UNS FSRM IBS_PREVENTHOST INVLPGB PSFD SEV_64BIT SEV_ALTERNATIVE SEV_DEBUGSWAP SEV_RESTRICTED SEV_SNP SME_COHERENT
TLB_FLUSH_NESTED VAES VMPL VPCLMULQDQ
AVX512BF16 AVX512BITALG AVX512BW AVX512CD AVX512DQ AVX512F AVX512IFMA AVX512VBMI AVX512VBMI2 AVX512VL AVX512VNNI AVX512VPOPCNTDQ CPPC
FLUSH_L1D GFNI IBS_ZEN4 VMSA_REGPROT X86_64_V1 X86_64_V2 X86_64_V3 X86_64_V4
"""
"""Zen 2, what Zen 3 adds, what Zen 4 adds, by AMD's manuals, as far as an EPYC 9124 has it: it says nothing of MCOMMIT and MSR_PAGEFLUSH.

Without AMXFP8, which upstream takes the PKU bit for.
"""


@pytest.mark.parametrize(
    ("host", "source"), [(host, source) for host, sources in EXPECTED.items() for source in sources]
)
def test_the_labels_of_each_source_on_each_host(host: str, source: str, named_host: NamedHost) -> None:
    selected = [each for each in ALL if each.source == source]
    collection = collect(named_host(host), SourceSettings(), selected)
    labels = {key.removeprefix(PREFIX): value for key, value in merge_labels(collection.results, {}).items()}
    expected = dict(pair.split("=") for pair in EXPECTED[host][source].split())
    labels.pop("nvidia.com/gpu.present", None)
    assert {key: value for key, value in labels.items() if not key.startswith("cpu-cpuid.")} == expected
    assert collection.errors == {}


def test_genoa_has_the_flags_that_amd_documents(named_host: NamedHost) -> None:
    collection = collect(named_host("epyc-genoa"), SourceSettings())
    prefix = f"{PREFIX}cpu-cpuid."
    found = {key.removeprefix(prefix) for key in merge_labels(collection.results, {}) if key.startswith(prefix)}
    assert found == set(GENOA.split())


def test_cpuid_and_cpuinfo_agree_on_a_captured_processor(named_host: NamedHost) -> None:
    host = named_host("epyc-7451")
    kernel = translate_flags(parse_cpuinfo(host.root.text("/proc/cpuinfo") or ""))
    instruction = host.cpu(host.root)
    assert (kernel.vendor, kernel.family, kernel.model) == (instruction.vendor, instruction.family, instruction.model)
    assert kernel.flags - instruction.flags == {"IBPB"}, "a newer microcode"
    assert instruction.flags - kernel.flags == {"AVXSLOW", "HTT", "TSA_L1_NO", "TSA_SQ_NO"}, (
        "flags without a kernel name"
    )


def test_gpu_memory_of_a_captured_host_is_numa_nodes_without_cpus(named_host: NamedHost) -> None:
    features = collect(named_host("power9-v100"), SourceSettings()).features
    assert features.attributes["memory.numa"] == {"is_numa": "true", "node_count": "8"}
    assert features.attributes["cpu.topology"] == {"hardware_multithreading": "true", "socket_count": "2"}


def test_the_features_of_unusual_devices(
    named_host: NamedHost,
) -> None:
    icelake = collect(named_host("icelake-sriov"), SourceSettings()).features
    virtual = [device for device in icelake.instances["pci.device"] if device["device"] == "1889"]
    assert len(virtual) == 2
    assert not any("sriov_totalvfs" in device for device in virtual)
    grace = collect(named_host("grace-hopper"), SourceSettings()).features
    assert grace.attributes["memory.numa"] == {"is_numa": "true", "node_count": "9"}
    assert grace.attributes["memory.hugepages"]["hugepages-16Gi"] == "0"
    assert grace.attributes["cpu.topology"]["socket_count"] == "1"
    genoa = collect(named_host("epyc-genoa"), SourceSettings()).features
    assert genoa.attributes["cpu.security"]["sev.asids"] == "907"
    assert genoa.attributes["cpu.security"]["sev.encrypted_state_ids"] == "99"


def test_an_empty_root_has_no_feature_that_needs_a_file(named_host: NamedHost) -> None:
    features = collect(named_host("empty"), SourceSettings()).features
    assert set(features.attributes) == {
        *(
            "cpu.coprocessor",
            "cpu.cstate",
            "cpu.model",
            "cpu.pstate",
            "cpu.rdt",
            "cpu.security",
            "cpu.sst",
            "cpu.topology",
        ),
        *("kernel.kvm", "kernel.selinux", "local.feature", "local.label", "memory.hugepages", "system.name"),
    }
