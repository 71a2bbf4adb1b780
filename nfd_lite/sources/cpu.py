"""Processor identity, flags, topology and coprocessors. See also cpu_power and cpu_security.

Sources: nfd_lite.cpu.cpuid, kernel Documentation/admin-guide/cputopology.rst, Documentation/arch/x86/resctrl.rst.
"""

from nfd_lite.cpu.hypervisor import read_hypervisor
from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    attribute_collector,
    attributes,
    bool_text,
    list_cpus,
    parse_number,
    read_cpu_info,
    true_attribute_collector,
)
from nfd_lite.sources.cpu_power import POWER_COLLECTORS
from nfd_lite.sources.cpu_security import SECURITY
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

CPUID = "cpu.cpuid"
MODEL = "cpu.model"
TOPOLOGY = "cpu.topology"
RDT = "cpu.rdt"
COPROCESSOR = "cpu.coprocessor"
HYBRID = "cpu.hybrid"
# physical_package_id of a processor whose package the firmware does not describe.
_NO_PACKAGE = "-1"
# The mount point of resctrl in the kernel's documentation.
_CLOSIDS = "/sys/fs/resctrl/info/L3/num_closids"
_NX_GZIP = "/sys/devices/vio/ibm,compression-v1/nx_gzip_caps"
_CORE_TYPES = ("cpu_atom", "cpu_core")


def read_cpuid(scan: ScanContext) -> ReadResult:
    """Returns flags; on x86 also attributes, possibly none."""
    info = scan.once(read_cpu_info)
    version = {"AVX10_VERSION": str(info.avx10_version)} if info.avx10_version else {}
    return Features(flags={CPUID: info.flags}, attributes={CPUID: version} if info.arch == "x86_64" else {})


def label_cpuid(features: Features, settings: SourceSettings) -> Labels:
    """The whitelist and the blacklist filter flags, not attributes. A whitelist replaces the blacklist."""
    allowed, denied = settings.cpuid_attribute_whitelist, settings.cpuid_attribute_blacklist
    names = features.flags.get(CPUID, frozenset())
    shown = names.intersection(allowed) if allowed else names.difference(denied)
    values = dict.fromkeys(shown, "true") | dict(features.attributes.get(CPUID, {}))
    return {f"cpu-cpuid.{name}": value for name, value in values.items()}


def read_model(scan: ScanContext) -> ReadResult:
    """Reads the identity of the processor. The hypervisor is absent if neither the processor nor the host shows whether there is one."""
    reader, info = PartialReader(), scan.once(read_cpu_info)
    hypervisor = info.hypervisor or reader.try_read(lambda: read_hypervisor(scan.root), None)
    values = {"vendor_id": info.vendor, "family": info.family, "id": info.model}
    return reader.result(attributes(MODEL, values | ({"hypervisor": hypervisor} if hypervisor else {})))


def read_topology(scan: ScanContext) -> ReadResult:
    """Reads the topology of the CPUs that are online. The kernel has no topology files for CPUs that are offline."""
    reader, root, cpus = PartialReader(), scan.root, scan.once(list_cpus)
    siblings = [reader.text(root, f"{cpu}/topology/thread_siblings_list") for cpu in cpus]
    packages = {reader.text(root, f"{cpu}/topology/physical_package_id") for cpu in cpus} - {None, "", _NO_PACKAGE}
    threads = [text for text in siblings if text]
    multithreading = any("," in text or "-" in text for text in threads)
    values = {"hardware_multithreading": bool_text(multithreading)} if threads else {}
    return reader.result(attributes(TOPOLOGY, values | ({"socket_count": str(len(packages))} if packages else {})))


def label_topology(features: Features, _settings: SourceSettings) -> Labels:
    values = features.attributes.get(TOPOLOGY, {})
    name = "hardware_multithreading"
    return {f"cpu-{name}": values[name]} if name in values else {}


def read_rdt(scan: ScanContext) -> ReadResult:
    names = scan.once(read_cpu_info).rdt
    values = dict.fromkeys(sorted(names), "true")
    closids = scan.root.text(_CLOSIDS) if "RDTL3CA" in names else None
    if closids:
        # Subtract the default group, which cannot be assigned.
        values["RDTL3CA_NUM_CLOSID"] = str(parse_number(_CLOSIDS, closids) - 1)
    return attributes(RDT, values)


def read_coprocessor(scan: ScanContext) -> ReadResult:
    present = scan.root.check_exists(_NX_GZIP)
    return attributes(COPROCESSOR, {"nx_gzip": "true"} if present else {})


def read_hybrid(scan: ScanContext) -> ReadResult:
    """Reads the core types of a hybrid processor. Each core type has its own performance monitoring unit in sysfs."""
    kinds = [kind for kind in _CORE_TYPES if scan.root.check_exists(f"/sys/devices/{kind}/cpus")]
    return attributes(HYBRID, dict.fromkeys(kinds, "true")) if kinds else Features()


_PROCESSOR = {"source": "the processor (CPUID, AT_HWCAP or MIDR_EL1), or /proc/cpuinfo"}
CPU = (
    FeatureCollector(
        name=CPUID,
        read=read_cpuid,
        labels=label_cpuid,
        owns=("cpu-cpuid.",),
        declared=(
            LabelDeclaration(
                key="cpu-cpuid.<flag>",
                value="`true`; a number for `AVX10_VERSION`",
                presence="for each flag of the processor that `sources.cpu.cpuid` does not exclude",
                **_PROCESSOR,
            ),
        ),
    ),
    attribute_collector(
        MODEL,
        read_model,
        "cpu-model.",
        LabelDeclaration(
            key="cpu-model.vendor_id", value="the vendor: `Intel`, `AMD`, `ARM`", presence="always", **_PROCESSOR
        ),
        LabelDeclaration(key="cpu-model.family", value="the family, a number", presence="always", **_PROCESSOR),
        LabelDeclaration(key="cpu-model.id", value="the model, a number", presence="always", **_PROCESSOR),
        LabelDeclaration(
            key="cpu-model.hypervisor",
            value="the hypervisor: `kvm`, `vmware`; `none` on bare metal",
            source="CPUID, /sys/hypervisor/type, the device tree, or /sys/devices/virtual/dmi/id",
            presence="with CPUID; without CPUID in virtual machines that show their hypervisor",
        ),
    ),
    FeatureCollector(
        name=TOPOLOGY,
        read=read_topology,
        labels=label_topology,
        owns=("cpu-hardware_multithreading",),
        declared=(
            LabelDeclaration(
                key="cpu-hardware_multithreading",
                value="`true` if a core has several threads, else `false`",
                source="/sys/bus/cpu/devices/*/topology/thread_siblings_list",
                presence="if the kernel reports the topology",
            ),
        ),
    ),
    *POWER_COLLECTORS,
    SECURITY,
    FeatureCollector(name=RDT, read=read_rdt),
    true_attribute_collector(
        COPROCESSOR,
        read_coprocessor,
        {"cpu-coprocessor.nx_gzip": "nx_gzip"},
        LabelDeclaration(
            key="cpu-coprocessor.nx_gzip",
            value="`true`",
            source=_NX_GZIP,
            presence="on POWER with a coprocessor for gzip",
        ),
    ),
    true_attribute_collector(
        HYBRID,
        read_hybrid,
        {f"cpu-{name}": name for name in _CORE_TYPES},
        *(
            LabelDeclaration(
                key=f"cpu-{name}",
                value="`true`",
                source=f"/sys/devices/{name}/cpus",
                presence="on hybrid processors with cores of this type",
            )
            for name in _CORE_TYPES
        ),
    ),
)
