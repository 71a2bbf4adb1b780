"""C-states, P-states and Intel Speed Select base frequency.

Sources: kernel Documentation/admin-guide/pm/{intel_idle,intel_pstate,cpufreq}.rst. These sysfs folders exist on x86 only.
"""

from nfd_lite.sources.api import (
    PartialReader,
    ReadResult,
    ScanContext,
    attribute_collector,
    attributes,
    bool_text,
    list_cpus,
    parse_number,
    read_cpu_info,
    true_attribute_collector,
)
from node_core.domain.label_declaration import LabelDeclaration
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

CSTATE = "cpu.cstate"
PSTATE = "cpu.pstate"
SST = "cpu.sst"
_DEEPEST = "/sys/module/intel_idle/parameters/max_cstate"
_PSTATE = "/sys/devices/system/cpu/intel_pstate"
_POLICIES = "/sys/devices/system/cpu/cpufreq"


def read_cstate(scan: ScanContext) -> ReadResult:
    if scan.root.text("/sys/devices/system/cpu/cpuidle/current_driver") != "intel_idle":
        return attributes(CSTATE, {})
    deepest = scan.root.text(_DEEPEST)
    return attributes(CSTATE, {} if deepest is None else {"enabled": bool_text(parse_number(_DEEPEST, deepest) > 0)})


def read_pstate(scan: ScanContext) -> ReadResult:
    """Returns no attributes if the intel_pstate driver is missing or off. The scaling governor has an effect in mode `active` only."""
    status, no_turbo = scan.root.text(f"{_PSTATE}/status"), scan.root.text(f"{_PSTATE}/no_turbo")
    if not status or status == "off":
        return attributes(PSTATE, {})
    if no_turbo == "":
        raise HostReadError(f"{_PSTATE}/no_turbo is empty")
    values = {"status": status}
    if no_turbo is not None:
        values["turbo"] = bool_text(no_turbo.startswith("0"))
    reader = PartialReader()
    governors = _read_governors(reader, scan.root) if status == "active" else frozenset()
    if len(governors) == 1 and not reader.reasons:
        values["scaling_governor"] = next(iter(governors))
    return reader.result(attributes(PSTATE, values))


def _read_governors(reader: PartialReader, root: HostRoot) -> frozenset[str]:
    """Reads the governors of the policies with at least one online CPU."""
    policies = [f"{_POLICIES}/{name}" for name in root.entries(_POLICIES)]
    used = [policy for policy in policies if reader.text(root, f"{policy}/affected_cpus")]
    values = [reader.text(root, f"{policy}/scaling_governor") for policy in used]
    return frozenset(filter(None, values))


def read_sst(scan: ScanContext) -> ReadResult:
    """Sets `bf.enabled` if the guaranteed base frequency of some core is above the base frequency that CPUID reports for all cores."""
    reader = PartialReader()
    khz = [frequency for cpu in scan.once(list_cpus) if (frequency := _read_base_khz(reader, scan.root, cpu))]
    if not khz:
        return reader.result(attributes(SST, {}))
    nominal = scan.once(read_cpu_info).base_mhz
    raised = nominal > 0 and any(frequency // 1000 > nominal for frequency in khz)
    return reader.result(attributes(SST, {"bf.enabled": "true"} if raised else {}))


def _read_base_khz(reader: PartialReader, root: HostRoot, cpu: str) -> int | None:
    path = f"{cpu}/cpufreq/base_frequency"
    text = reader.text(root, path)
    return reader.try_read(lambda: parse_number(path, text), None) if text else None


POWER_COLLECTORS = (
    attribute_collector(
        CSTATE,
        read_cstate,
        "cpu-cstate.",
        LabelDeclaration(
            key="cpu-cstate.enabled",
            value="`true` if C-states below C1 are enabled, else `false`",
            source=_DEEPEST,
            presence="with the driver intel_idle",
        ),
    ),
    attribute_collector(
        PSTATE,
        read_pstate,
        "cpu-pstate.",
        LabelDeclaration(
            key="cpu-pstate.status",
            value="`active` or `passive`",
            source=f"{_PSTATE}/status",
            presence="with the driver intel_pstate",
        ),
        LabelDeclaration(
            key="cpu-pstate.turbo",
            value="`true` if turbo frequencies are enabled, else `false`",
            source=f"{_PSTATE}/no_turbo",
            presence="with the driver intel_pstate",
        ),
        LabelDeclaration(
            key="cpu-pstate.scaling_governor",
            value="the scaling governor: `powersave` or `performance`",
            source=f"{_POLICIES}/*/scaling_governor",
            presence="with intel_pstate in mode `active`, if all CPUs have the same governor",
        ),
    ),
    true_attribute_collector(
        SST,
        read_sst,
        {"cpu-power.sst_bf.enabled": "bf.enabled"},
        LabelDeclaration(
            key="cpu-power.sst_bf.enabled",
            value="`true`",
            source="/sys/bus/cpu/devices/*/cpufreq/base_frequency, CPUID",
            presence="with Intel Speed Select: a core has a base frequency above that of the processor",
        ),
    ),
)
