"""Security features of the processor."""

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU
from nfd_lite.sources.cpu_security import parse_capacities
from tests.nfd_lite.sources.scans import LayOut, scan_cpu


def test_amd_encryption_counts_its_own_keys_only(lay_out: LayOut) -> None:
    parameters = "/sys/module/kvm_amd/parameters"
    files = {f"{parameters}/sev": "Y\n", f"{parameters}/sev_es": "1\n", f"{parameters}/sev_snp": "N\n"}
    root = lay_out(files | {"/sys/fs/cgroup/misc/misc.capacity": "sev_es 99\nsev 410\n"})
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="test"))
    found = collect(host, SourceSettings(), CPU).features.attributes["cpu.security"]
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
def test_security_features_that_the_kernel_enables_are_labelled(
    files: dict[str, str], label: str, lay_out: LayOut
) -> None:
    assert scan_cpu(lay_out(files)) == {label: "true"}
    assert scan_cpu(lay_out(dict.fromkeys(files, "0\n"))) in ({}, {"coprocessor.nx_gzip": "true"})


def test_sgx_and_tdx_guests_are_read_from_the_processor(lay_out: LayOut) -> None:
    info = CpuInfo(arch="x86_64", method="test", flags=frozenset({"TDX_GUEST", "SGX"}), epc_bytes=4096)
    assert scan_cpu(lay_out({}), info) == {"security.sgx.enabled": "true", "security.tdx.protected": "true"}
