"""Flags, topology and core types of the processor."""

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU, label_cpuid
from node_core.domain.features import Features
from tests.nfd_lite.sources.scans import CPUS, LayOut, scan_cpu


def cpuid_labels(settings: SourceSettings) -> set[str]:
    features = Features(
        flags={"cpu.cpuid": frozenset({"AVX", "SSE42", "HTT"})}, attributes={"cpu.cpuid": {"AVX10_VERSION": "2"}}
    )
    return {key.rpartition(".")[2] for key in label_cpuid(features, settings)}


def test_the_blacklist_applies_to_flags_only() -> None:
    assert cpuid_labels(SourceSettings()) == {"AVX", "AVX10_VERSION"}
    assert cpuid_labels(SourceSettings(cpuid_attribute_blacklist=("AVX", "AVX10_VERSION"))) == {
        "SSE42",
        "HTT",
        "AVX10_VERSION",
    }


def test_a_whitelist_replaces_the_blacklist() -> None:
    assert cpuid_labels(SourceSettings(cpuid_attribute_whitelist=("SSE42",))) == {"SSE42", "AVX10_VERSION"}


def test_the_default_blacklist_has_26_names() -> None:
    assert len(set(SourceSettings().cpuid_attribute_blacklist)) == 26


@pytest.mark.parametrize(("siblings", "expected"), [("0,64", "true"), ("0-1", "true"), ("0", "false")])
def test_an_offline_cpu_does_not_change_the_topology(siblings: str, expected: str, lay_out: LayOut) -> None:
    files = {
        f"{CPUS}/cpu0/topology/thread_siblings_list": f"{siblings}\n",
        f"{CPUS}/cpu0/topology/physical_package_id": "0\n",
        f"{CPUS}/cpu1/online": "0\n",
    }
    assert scan_cpu(lay_out(files)) == {"hardware_multithreading": expected}


def test_packages_that_the_firmware_does_not_describe_are_not_counted(lay_out: LayOut) -> None:
    topology = f"{CPUS}/cpu0/topology"
    root = lay_out({f"{topology}/thread_siblings_list": "0\n", f"{topology}/physical_package_id": "-1\n"})
    host = Host(root=root, cpu=lambda _: CpuInfo(arch="aarch64", method="test"))
    assert collect(host, SourceSettings(), CPU).features.attributes["cpu.topology"] == {
        "hardware_multithreading": "false"
    }


def test_hybrid_processors_are_labelled_with_their_core_types(lay_out: LayOut) -> None:
    root = lay_out({"/sys/devices/cpu_atom/cpus": "8-15\n", "/sys/devices/cpu_core/cpus": "0-7\n"})
    assert scan_cpu(root) == {"cpu_atom": "true", "cpu_core": "true"}
