from collections.abc import Callable

import pytest

from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU, label_cpuid
from nfd_lite.sources.cpu_security import parse_capacities
from node_core.domain.features import Features
from node_core.domain.labels import merge_collected
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot

LayOut = Callable[[dict[str, str]], HostRoot]
Labels = Callable[..., dict[str, str]]
CPUS = "/sys/bus/cpu/devices"
SYSTEM = "/sys/devices/system/cpu"


def labels_of(root: HostRoot, info: CpuInfo | None = None) -> dict[str, str]:
    """Without the model, by the part after `cpu-`."""
    info = info or CpuInfo(arch="x86_64", how="test")
    collection = collect(Host(root=root, cpu=lambda _root: info), SourceSettings(), (CPU,))
    prefix = "feature.node.kubernetes.io/cpu-"
    merged = merge_collected(collection.collected, {})
    return {key.removeprefix(prefix): value for key, value in merged.items() if "cpu-model" not in key}


def cpuid_labels(settings: SourceSettings) -> set[str]:
    features = Features(
        flags={"cpu.cpuid": frozenset({"AVX", "SSE42", "HTT"})}, attributes={"cpu.cpuid": {"AVX10_VERSION": "2"}}
    )
    return {key.rpartition(".")[2] for key in label_cpuid(features, settings)}


def test_the_deny_list_holds_for_flags_only() -> None:
    assert cpuid_labels(SourceSettings()) == {"AVX", "AVX10_VERSION"}
    assert cpuid_labels(SourceSettings(cpuid_attribute_blacklist=("AVX", "AVX10_VERSION"))) == {
        "SSE42",
        "HTT",
        "AVX10_VERSION",
    }


def test_a_whitelist_makes_the_deny_list_void() -> None:
    assert cpuid_labels(SourceSettings(cpuid_attribute_whitelist=("SSE42",))) == {"SSE42", "AVX10_VERSION"}


def test_the_default_deny_list_has_26_names() -> None:
    assert len(set(SourceSettings().cpuid_attribute_blacklist)) == 26


@pytest.mark.parametrize(("siblings", "expected"), [("0,64", "true"), ("0-1", "true"), ("0", "false")])
def test_an_offline_cpu_takes_no_topology_away(siblings: str, expected: str, lay_out: LayOut) -> None:
    files = {
        f"{CPUS}/cpu0/topology/thread_siblings_list": f"{siblings}\n",
        f"{CPUS}/cpu0/topology/physical_package_id": "0\n",
        f"{CPUS}/cpu1/online": "0\n",
    }
    assert labels_of(lay_out(files)) == {"hardware_multithreading": expected}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpuidle/current_driver": "acpi_idle\n"}, {}),
        ({"cpuidle/current_driver": "intel_idle\n", "../../../module/intel_idle/parameters/max_cstate": "0"}, {"cstate.enabled": "false"}),
        ({"intel_pstate/status": "off\n", "intel_pstate/no_turbo": "0\n"}, {}),
        ({"intel_pstate/status": "passive\n", "intel_pstate/no_turbo": "1\n"}, {"pstate.status": "passive", "pstate.turbo": "false"}),
    ],
    ids=["other idle driver", "no C-states", "P-states off", "passive without turbo"],
)  # fmt: skip
def test_power_management_is_labelled_as_its_driver_says(
    files: dict[str, str], expected: dict[str, str], lay_out: LayOut
) -> None:
    assert labels_of(lay_out({f"{SYSTEM}/{path}": text for path, text in files.items()})) == expected


def test_governors_that_differ_have_no_label(lay_out: LayOut) -> None:
    files = {f"{SYSTEM}/intel_pstate/status": "active\n"}
    for index, governor in enumerate(("powersave", "performance")):
        files[f"{SYSTEM}/cpufreq/policy{index}/affected_cpus"] = f"{index}\n"
        files[f"{SYSTEM}/cpufreq/policy{index}/scaling_governor"] = f"{governor}\n"
    assert labels_of(lay_out(files)) == {"pstate.status": "active"}


def test_an_empty_no_turbo_file_is_a_failure_and_no_crash(lay_out: LayOut) -> None:
    root = lay_out({f"{SYSTEM}/intel_pstate/status": "active\n", f"{SYSTEM}/intel_pstate/no_turbo": ""})
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", how="test"))
    assert list(collect(host, SourceSettings(), (CPU,)).errors) == ["cpu.pstate"]


@pytest.mark.parametrize(
    ("nominal", "khz", "raised"),
    [(2000, 2300000, True), (2000, 2000000, False), (0, 2300000, False)],
    ids=["above nominal", "at nominal", "nominal unknown"],
)
def test_a_raised_base_frequency_is_speed_select(nominal: int, khz: int, *, raised: bool, lay_out: LayOut) -> None:
    root = lay_out({f"{CPUS}/cpu0/cpufreq/base_frequency": f"{khz}\n"})
    labels = labels_of(root, CpuInfo(arch="x86_64", how="test", base_mhz=nominal))
    assert labels == ({"power.sst_bf.enabled": "true"} if raised else {})


def test_hybrid_processors_are_labelled_with_their_kinds_of_core(lay_out: LayOut) -> None:
    root = lay_out({"/sys/devices/cpu_atom/cpus": "8-15\n", "/sys/devices/cpu_core/cpus": "0-7\n"})
    assert labels_of(root) == {"cpu_atom": "true", "cpu_core": "true"}


def test_amd_encryption_counts_its_own_keys_only(lay_out: LayOut) -> None:
    parameters = "/sys/module/kvm_amd/parameters"
    files = {f"{parameters}/sev": "Y\n", f"{parameters}/sev_es": "1\n", f"{parameters}/sev_snp": "N\n"}
    root = lay_out(files | {"/sys/fs/cgroup/misc/misc.capacity": "sev_es 99\nsev 410\n"})
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", how="test"))
    found = collect(host, SourceSettings(), (CPU,)).features.attributes["cpu.security"]
    assert found == {
        "sev.enabled": "true",
        "sev.asids": "410",
        "sev.es.enabled": "true",
        "sev.encrypted_state_ids": "99",
    }


def test_capacities_without_a_number_are_left_out() -> None:
    assert parse_capacities("sev max\nsev_es 5\nodd\n") == {"sev_es": "5"}


@pytest.mark.parametrize(
    ("files", "label"),
    [
        ({"/sys/firmware/uv/prot_virt_host": "1\n"}, "security.se.enabled"),
        ({"/sys/module/kvm_intel/parameters/tdx": "Y\n"}, "security.tdx.enabled"),
        ({"/sys/devices/vio/ibm,compression-v1/nx_gzip_caps": "1\n"}, "coprocessor.nx_gzip"),
    ],
)
def test_what_the_kernel_has_turned_on_is_labelled(files: dict[str, str], label: str, lay_out: LayOut) -> None:
    assert labels_of(lay_out(files)) == {label: "true"}
    assert labels_of(lay_out(dict.fromkeys(files, "0\n"))) in ({}, {"coprocessor.nx_gzip": "true"})


def test_enclaves_and_trust_domains_come_from_the_processor(lay_out: LayOut) -> None:
    info = CpuInfo(arch="x86_64", how="test", flags=frozenset({"TDX_GUEST", "SGX"}), epc_bytes=4096)
    assert labels_of(lay_out({}), info) == {"security.sgx.enabled": "true", "security.tdx.protected": "true"}
