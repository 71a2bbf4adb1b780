"""C-states, P-states and Speed Select."""

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU
from tests.nfd_lite.sources.scans import CPUS, SYSTEM, LayOut, scan_cpu


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
def test_power_management_labels_depend_on_the_driver(
    files: dict[str, str], expected: dict[str, str], lay_out: LayOut
) -> None:
    assert scan_cpu(lay_out({f"{SYSTEM}/{path}": text for path, text in files.items()})) == expected


def test_different_governors_have_no_label(lay_out: LayOut) -> None:
    files = {f"{SYSTEM}/intel_pstate/status": "active\n"}
    for index, governor in enumerate(("powersave", "performance")):
        files[f"{SYSTEM}/cpufreq/policy{index}/affected_cpus"] = f"{index}\n"
        files[f"{SYSTEM}/cpufreq/policy{index}/scaling_governor"] = f"{governor}\n"
    assert scan_cpu(lay_out(files)) == {"pstate.status": "active"}


def test_an_empty_no_turbo_file_is_an_error(lay_out: LayOut) -> None:
    root = lay_out({f"{SYSTEM}/intel_pstate/status": "active\n", f"{SYSTEM}/intel_pstate/no_turbo": ""})
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="test"))
    assert list(collect(host, SourceSettings(), CPU).errors) == ["cpu.pstate"]


@pytest.mark.parametrize(
    ("nominal", "khz", "raised"),
    [(2000, 2300000, True), (2000, 2000000, False), (0, 2300000, False)],
    ids=["above nominal", "at nominal", "nominal unknown"],
)
def test_a_raised_base_frequency_is_speed_select(nominal: int, khz: int, *, raised: bool, lay_out: LayOut) -> None:
    root = lay_out({f"{CPUS}/cpu0/cpufreq/base_frequency": f"{khz}\n"})
    labels = scan_cpu(root, CpuInfo(arch="x86_64", method="test", base_mhz=nominal))
    assert labels == ({"power.sst_bf.enabled": "true"} if raised else {})
