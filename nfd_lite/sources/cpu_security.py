"""SGX, TDX, SEV and IBM Secure Execution: what the processor supports and what the kernel has enabled.

Sources: kernel Documentation/arch/x86/{sgx,tdx}.rst, Documentation/arch/x86/amd-memory-encryption.rst,
Documentation/virt/kvm/s390/s390-pv.rst, Documentation/admin-guide/cgroup-v2.rst (misc).
"""

from collections.abc import Mapping

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources.api import (
    PartialReader,
    ReadResult,
    ScanContext,
    attributes,
    read_cpu_info,
    true_attribute_collector,
)
from node_core.domain.label_declaration import LabelDeclaration

FEATURE = "cpu.security"
_LABELLED = (
    *("sgx.enabled", "tdx.enabled", "tdx.protected"),
    *("sev.enabled", "sev.es.enabled", "sev.snp.enabled", "se.enabled"),
)
_KVM_AMD = {"sev.enabled": "sev", "sev.es.enabled": "sev_es", "sev.snp.enabled": "sev_snp"}
_TDX = "/sys/module/kvm_intel/parameters/tdx"
_PARAMETERS = "/sys/module/kvm_amd/parameters"
_ULTRAVISOR = "/sys/firmware/uv/prot_virt_host"
_MISC = ("/sys/fs/cgroup/misc.capacity", "/sys/fs/cgroup/misc/misc.capacity")
_CAPACITIES = {
    "tdx.enabled": ("tdx", "tdx.total_keys"),
    "sev.enabled": ("sev", "sev.asids"),
    "sev.es.enabled": ("sev_es", "sev.encrypted_state_ids"),
}
"""Attribute that must be true -> cgroup resource that counts the encryption keys, attribute with the count."""


def read_security(scan: ScanContext) -> ReadResult:
    reader = PartialReader()
    none: dict[str, str] = {}
    values = reader.try_read(lambda: parse_cpu(scan.once(read_cpu_info)), none)
    values |= reader.try_read(lambda: _read_tdx(scan), none)
    values |= reader.try_read(lambda: _read_sev(scan), none)
    values |= reader.try_read(lambda: _read_secure_execution(scan), none)
    if values.keys() & _CAPACITIES.keys():
        capacities = reader.try_read(lambda: _read_capacities(scan), none)
        values |= select_capacities(values, capacities)
    return reader.result(attributes(FEATURE, values))


def parse_cpu(info: CpuInfo) -> dict[str, str]:
    """Returns the SGX attributes if there is enclave memory, and `tdx.protected` in a TDX guest."""
    values = {"sgx.enabled": "true", "sgx.epc": str(info.epc_bytes)} if info.epc_bytes > 0 else {}
    return values | ({"tdx.protected": "true"} if "TDX_GUEST" in info.flags else {})


def _read_tdx(scan: ScanContext) -> dict[str, str]:
    enabled = scan.root.text(_TDX) == "Y"
    return {"tdx.enabled": "true"} if enabled else {}


def _read_sev(scan: ScanContext) -> dict[str, str]:
    texts = {name: scan.root.text(f"{_PARAMETERS}/{file}") for name, file in _KVM_AMD.items()}
    return {name: "true" for name, text in texts.items() if text and text[0] in "1Y"}


def _read_secure_execution(scan: ScanContext) -> dict[str, str]:
    return {"se.enabled": "true"} if scan.root.text(_ULTRAVISOR) == "1" else {}


def _read_capacities(scan: ScanContext) -> dict[str, str]:
    return parse_capacities(next(filter(None, map(scan.root.text, _MISC)), ""))


def parse_capacities(text: str) -> dict[str, str]:
    """Parses `sev 410` lines: resource -> capacity."""
    pairs = (line.split() for line in text.splitlines())
    return {words[0]: words[1] for words in pairs if len(words) == 2 and words[1].isdecimal()}


def select_capacities(values: Mapping[str, str], capacities: Mapping[str, str]) -> dict[str, str]:
    """Returns attribute -> capacity for the enabled technologies."""
    enabled = (_CAPACITIES[name] for name in values if name in _CAPACITIES)
    return {attribute: capacities[resource] for resource, attribute in enabled if resource in capacities}


def _declare(name: str, source: str, presence: str) -> LabelDeclaration:
    return LabelDeclaration(key=f"cpu-security.{name}", value="`true`", source=source, presence=presence)


SECURITY = true_attribute_collector(
    FEATURE,
    read_security,
    {f"cpu-security.{name}": name for name in _LABELLED},
    _declare("sgx.enabled", "CPUID", "on Intel with memory for SGX enclaves"),
    _declare("tdx.enabled", _TDX, "on a host for TDX virtual machines"),
    _declare("tdx.protected", "CPUID", "in a TDX virtual machine"),
    *(
        _declare(name, f"{_PARAMETERS}/{file}", f"on a host for {technology} virtual machines")
        for (name, file), technology in zip(_KVM_AMD.items(), ("SEV", "SEV-ES", "SEV-SNP"), strict=True)
    ),
    _declare("se.enabled", _ULTRAVISOR, "on a host for IBM Secure Execution virtual machines"),
)
