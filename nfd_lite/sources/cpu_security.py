"""SGX, TDX, SEV and IBM Secure Execution: what the processor can, and what the kernel has turned on.

Sources: kernel Documentation/arch/x86/{sgx,tdx}.rst, Documentation/arch/x86/amd-memory-encryption.rst,
Documentation/virt/kvm/s390/s390-pv.rst, Documentation/admin-guide/cgroup-v2.rst (misc).
"""

from collections.abc import Mapping

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    SourceSettings,
    attributes,
    read_cpu_info,
    true_labels,
)
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.host.cpuid_decode import CpuInfo

FEATURE = "cpu.security"
_LABELLED = (
    *("sgx.enabled", "tdx.enabled", "tdx.protected"),
    *("sev.enabled", "sev.es.enabled", "sev.snp.enabled", "se.enabled"),
)
_KVM_AMD = {"sev.enabled": "sev", "sev.es.enabled": "sev_es", "sev.snp.enabled": "sev_snp"}
_MISC = ("/sys/fs/cgroup/misc.capacity", "/sys/fs/cgroup/misc/misc.capacity")
_CAPACITIES = {
    "tdx.enabled": ("tdx", "tdx.total_keys"),
    "sev.enabled": ("sev", "sev.asids"),
    "sev.es.enabled": ("sev_es", "sev.encrypted_state_ids"),
}
"""What must be enabled -> the cgroup resource that counts its keys, and the attribute for it."""


def read_security(look: Look) -> Found:
    gathering = Gathering()
    none: dict[str, str] = {}
    found = gathering.attempt(lambda: parse_cpu(look.once(read_cpu_info)), none)
    found |= gathering.attempt(lambda: _read_tdx(look), none)
    found |= gathering.attempt(lambda: _read_sev(look), none)
    found |= gathering.attempt(lambda: _read_secure_execution(look), none)
    if found.keys() & _CAPACITIES.keys():
        capacities = gathering.attempt(lambda: _read_capacities(look), none)
        found |= select_capacities(found, capacities)
    return gathering.found(attributes(FEATURE, found))


def parse_cpu(info: CpuInfo) -> dict[str, str]:
    """SGX with some enclave memory, and whether we run inside a TDX guest."""
    found = {"sgx.enabled": "true", "sgx.epc": str(info.epc_bytes)} if info.epc_bytes > 0 else {}
    return found | ({"tdx.protected": "true"} if "TDX_GUEST" in info.flags else {})


def _read_tdx(look: Look) -> dict[str, str]:
    enabled = look.root.text("/sys/module/kvm_intel/parameters/tdx") == "Y"
    return {"tdx.enabled": "true"} if enabled else {}


def _read_sev(look: Look) -> dict[str, str]:
    texts = {name: look.root.text(f"/sys/module/kvm_amd/parameters/{file}") for name, file in _KVM_AMD.items()}
    return {name: "true" for name, text in texts.items() if text and text[0] in "1Y"}


def _read_secure_execution(look: Look) -> dict[str, str]:
    return {"se.enabled": "true"} if look.root.text("/sys/firmware/uv/prot_virt_host") == "1" else {}


def _read_capacities(look: Look) -> dict[str, str]:
    return parse_capacities(next(filter(None, map(look.root.text, _MISC)), ""))


def parse_capacities(text: str) -> dict[str, str]:
    """`sev 410` lines -> resource -> capacity, whole names only: `sev` is not `sev_es`."""
    pairs = (line.split() for line in text.splitlines())
    return {words[0]: words[1] for words in pairs if len(words) == 2 and words[1].isdecimal()}


def select_capacities(found: Mapping[str, str], capacities: Mapping[str, str]) -> dict[str, str]:
    wanted = (_CAPACITIES[name] for name in found if name in _CAPACITIES)
    return {attribute: capacities[resource] for resource, attribute in wanted if resource in capacities}


def label_security(features: Features, _settings: SourceSettings) -> Labels:
    found = features.attributes.get(FEATURE, {})
    return true_labels({f"cpu-security.{name}": found.get(name) == "true" for name in _LABELLED})


SECURITY = Part(name=FEATURE, read=read_security, labels=label_security, owns=(f"{PREFIX}cpu-security.",))
