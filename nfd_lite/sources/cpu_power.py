"""C-states, P-states and Intel Speed Select base frequency.

Sources: kernel Documentation/admin-guide/pm/{intel_idle,intel_pstate,cpufreq}.rst. The sysfs folders exist on x86 only.
"""

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    SourceSettings,
    attributes,
    list_cpus,
    parse_number,
    read_cpu_info,
    spell,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

CSTATE = "cpu.cstate"
PSTATE = "cpu.pstate"
SST = "cpu.sst"
_DEEPEST = "/sys/module/intel_idle/parameters/max_cstate"
_PSTATE = "/sys/devices/system/cpu/intel_pstate"
_POLICIES = "/sys/devices/system/cpu/cpufreq"


def read_cstate(look: Look) -> Found:
    if look.root.text("/sys/devices/system/cpu/cpuidle/current_driver") != "intel_idle":
        return attributes(CSTATE, {})
    deepest = look.root.text(_DEEPEST)
    return attributes(CSTATE, {} if deepest is None else {"enabled": spell(parse_number(_DEEPEST, deepest) > 0)})


def label_cstate(features: Features, _settings: SourceSettings) -> Labels:
    return _label_all(features, CSTATE, "cstate")


def read_pstate(look: Look) -> Found:
    """Empty without the intel_pstate driver, and when it is off. Governors only where it hands the choice to them."""
    status, no_turbo = look.root.text(f"{_PSTATE}/status"), look.root.text(f"{_PSTATE}/no_turbo")
    if not status or status == "off":
        return attributes(PSTATE, {})
    if no_turbo == "":
        raise HostReadError(f"{_PSTATE}/no_turbo is empty")
    found = {"status": status}
    if no_turbo is not None:
        found["turbo"] = spell(no_turbo.startswith("0"))
    gathering = Gathering()
    governors = _read_governors(gathering, look.root) if status == "active" else frozenset()
    if len(governors) == 1 and not gathering.reasons:
        found["scaling_governor"] = next(iter(governors))
    return gathering.found(attributes(PSTATE, found))


def _read_governors(gathering: Gathering, root: HostRoot) -> frozenset[str]:
    """Of the policies that have a CPU online."""
    policies = [f"{_POLICIES}/{name}" for name in root.entries(_POLICIES)]
    used = [policy for policy in policies if gathering.text(root, f"{policy}/affected_cpus")]
    found = [gathering.text(root, f"{policy}/scaling_governor") for policy in used]
    return frozenset(filter(None, found))


def label_pstate(features: Features, _settings: SourceSettings) -> Labels:
    return _label_all(features, PSTATE, "pstate")


def read_sst(look: Look) -> Found:
    """bf: some core's guaranteed base frequency lies above the one that CPUID gives for all."""
    gathering = Gathering()
    khz = [frequency for cpu in look.once(list_cpus) if (frequency := _read_base_khz(gathering, look.root, cpu))]
    if not khz:
        return gathering.found(attributes(SST, {}))
    nominal = look.once(read_cpu_info).base_mhz
    raised = nominal > 0 and any(frequency // 1000 > nominal for frequency in khz)
    return gathering.found(attributes(SST, {"bf.enabled": "true"} if raised else {}))


def _read_base_khz(gathering: Gathering, root: HostRoot, cpu: str) -> int | None:
    path = f"{cpu}/cpufreq/base_frequency"
    text = gathering.text(root, path)
    return gathering.attempt(lambda: parse_number(path, text), None) if text else None


def label_sst(features: Features, _settings: SourceSettings) -> Labels:
    return true_labels({"cpu-power.sst_bf.enabled": features.attributes.get(SST, {}).get("bf.enabled") == "true"})


def _label_all(features: Features, feature: str, name: str) -> Labels:
    return {f"{PREFIX}cpu-{name}.{key}": value for key, value in features.attributes.get(feature, {}).items()}


POWER_PARTS = (
    Part(name=CSTATE, read=read_cstate, labels=label_cstate, owns=(f"{PREFIX}cpu-cstate.",)),
    Part(name=PSTATE, read=read_pstate, labels=label_pstate, owns=(f"{PREFIX}cpu-pstate.",)),
    Part(name=SST, read=read_sst, labels=label_sst, owns=(f"{PREFIX}cpu-power.sst_bf.",)),
)
