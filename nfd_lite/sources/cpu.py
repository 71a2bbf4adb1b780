"""Processor identity, flags, topology and coprocessors; power management and security are in files of their own.

Sources: node_core.host.cpuid, kernel Documentation/admin-guide/cputopology.rst, Documentation/arch/x86/resctrl.rst.
"""

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    attributes,
    list_cpus,
    no_labels,
    parse_number,
    read_cpu_info,
    spell,
    true_labels,
)
from nfd_lite.sources.cpu_power import POWER_PARTS
from nfd_lite.sources.cpu_security import SECURITY
from node_core.domain.features import Features
from node_core.domain.labels import Labels

CPUID = "cpu.cpuid"
MODEL = "cpu.model"
TOPOLOGY = "cpu.topology"
RDT = "cpu.rdt"
COPROCESSOR = "cpu.coprocessor"
HYBRID = "cpu.hybrid"
# The kernel's documentation mounts resctrl here, and nowhere else.
_CLOSIDS = "/sys/fs/resctrl/info/L3/num_closids"


def read_cpuid(look: Look) -> Found:
    """Flags; on x86 also attributes, which may be empty."""
    info = look.once(read_cpu_info)
    version = {"AVX10_VERSION": str(info.avx10_version)} if info.avx10_version else {}
    return Features(flags={CPUID: info.flags}, attributes={CPUID: version} if info.arch == "x86_64" else {})


def label_cpuid(features: Features, settings: SourceSettings) -> Labels:
    """The lists hold for flags only, and a whitelist makes the blacklist void."""
    allowed, denied = settings.cpuid_attribute_whitelist, settings.cpuid_attribute_blacklist
    names = features.flags.get(CPUID, frozenset())
    shown = names.intersection(allowed) if allowed else names.difference(denied)
    values = dict.fromkeys(shown, "true") | dict(features.attributes.get(CPUID, {}))
    return {f"{PREFIX}cpu-cpuid.{name}": value for name, value in values.items()}


def read_model(look: Look) -> Found:
    info = look.once(read_cpu_info)
    return attributes(
        MODEL,
        {"vendor_id": info.vendor, "family": info.family, "id": info.model, "hypervisor": info.hypervisor},
    )


def label_model(features: Features, _settings: SourceSettings) -> Labels:
    return {f"{PREFIX}cpu-model.{name}": value for name, value in features.attributes.get(MODEL, {}).items()}


def read_topology(look: Look) -> Found:
    """Of the CPUs that are online: the kernel shows no topology of the others."""
    gathering, root, cpus = Gathering(), look.root, look.once(list_cpus)
    siblings = [gathering.text(root, f"{cpu}/topology/thread_siblings_list") for cpu in cpus]
    packages = {gathering.text(root, f"{cpu}/topology/physical_package_id") for cpu in cpus} - {None}
    threads = [text for text in siblings if text]
    if not threads or not packages:
        return gathering.found(attributes(TOPOLOGY, {}))
    multithreading = any("," in text or "-" in text for text in threads)
    return gathering.found(
        attributes(
            TOPOLOGY,
            {"hardware_multithreading": spell(multithreading), "socket_count": str(len(packages))},
        )
    )


def label_topology(features: Features, _settings: SourceSettings) -> Labels:
    found = features.attributes.get(TOPOLOGY, {})
    name = "hardware_multithreading"
    return {f"{PREFIX}cpu-{name}": found[name]} if name in found else {}


def read_rdt(look: Look) -> Found:
    names = look.once(read_cpu_info).rdt
    found = dict.fromkeys(sorted(names), "true")
    closids = look.root.text(_CLOSIDS) if "RDTL3CA" in names else None
    if closids:
        # One class of service is the default group, which cannot be handed out.
        found["RDTL3CA_NUM_CLOSID"] = str(parse_number(_CLOSIDS, closids) - 1)
    return attributes(RDT, found)


def read_coprocessor(look: Look) -> Found:
    present = look.root.shows("/sys/devices/vio/ibm,compression-v1/nx_gzip_caps")
    return attributes(COPROCESSOR, {"nx_gzip": "true"} if present else {})


def label_coprocessor(features: Features, _settings: SourceSettings) -> Labels:
    found = features.attributes.get(COPROCESSOR, {})
    return true_labels({"cpu-coprocessor.nx_gzip": found.get("nx_gzip") == "true"})


def read_hybrid(look: Look) -> Found:
    """Kinds of core of a hybrid processor, each of which has a performance monitoring unit of its own."""
    kinds = [kind for kind in ("cpu_atom", "cpu_core") if look.root.shows(f"/sys/devices/{kind}/cpus")]
    return attributes(HYBRID, dict.fromkeys(kinds, "true")) if kinds else Features()


def label_hybrid(features: Features, _settings: SourceSettings) -> Labels:
    return true_labels({f"cpu-{kind}": True for kind in features.attributes.get(HYBRID, {})})


CPU = Source(
    name="cpu",
    parts=(
        Part(name=CPUID, read=read_cpuid, labels=label_cpuid, owns=(f"{PREFIX}cpu-cpuid.",)),
        Part(name=MODEL, read=read_model, labels=label_model, owns=(f"{PREFIX}cpu-model.",)),
        Part(name=TOPOLOGY, read=read_topology, labels=label_topology, owns=(f"{PREFIX}cpu-hardware_multithreading",)),
        *POWER_PARTS,
        SECURITY,
        Part(name=RDT, read=read_rdt, labels=no_labels),
        Part(name=COPROCESSOR, read=read_coprocessor, labels=label_coprocessor, owns=(f"{PREFIX}cpu-coprocessor.",)),
        Part(
            name=HYBRID,
            read=read_hybrid,
            labels=label_hybrid,
            owns=(f"{PREFIX}cpu-cpu_atom", f"{PREFIX}cpu-cpu_core"),
        ),
    ),
)
