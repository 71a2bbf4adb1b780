"""The parsers of external input, with their inputs and the errors that they may raise. test_table.py compares this list with the code."""

import gzip
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import strategies as st

from device_plugin.gate import parse_gate
from device_plugin.health.checks import parse_checks
from device_plugin.health.kubelet_assessment import parse_amount
from device_plugin.health.startup_taint import parse_startup_taint
from dra_driver.claims.allocation import parse_allocation
from dra_driver.claims.config import decode_config
from dra_driver.claims.ref import ClaimRef
from dra_driver.claims.sharing import check_sharing
from dra_driver.claims.store import parse_claims
from dra_driver.devices.attributes import parse_version as parse_driver_version
from dra_driver.slices.previous import parse_devices as parse_published_devices
from driver_manager.mounts import parse_mountinfo
from gotemplate.errors import TemplateError
from gotemplate.functions.semver import parse_version as parse_semver
from gotemplate.literals import parse_float, parse_number
from gotemplate.literals import parse_integer as parse_int
from gotemplate.parse_time import parse_time as parse_go_time
from gotemplate.template import parse_template
from gotemplate.times import parse_duration as parse_go_duration
from gpu_core.clients import pause
from gpu_core.discovery.pci_ids import parse_device_names
from gpu_core.domain.cdi_schema import advice_of, problems_of
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.release import parse_seconds
from gpu_core.domain.selection import parse_devices
from gpu_core.host.ld_cache import parse_ld_cache
from gpu_core.host.mig_caps import parse_mig_minors
from gpu_core.host.pci_config import parse_host_driver, parse_vendor_capabilities, parse_vgpu
from gpu_core.host.tegra import parse_list
from gpu_core.host.xid_lines import parse_guid, parse_record, parse_xid
from gpu_core.mig.clients_file import decode_services
from gpu_core.mig.config import decode_mig_configs
from gpu_core.mig.hooks import decode_hooks
from gpu_core.mig.profile_text import parse_profile
from gpu_core.nvml.driver_version import parse_proc_version
from gpu_core.nvml.inventory import parse_bus_id
from gpu_core.pods.cgroups import parse_cgroup
from gpu_core.pods.checkpoint import parse_checkpoint
from gpu_core.pods.claimants import parse_claim_drivers
from gpu_core.pods.eviction import parse_drain_pod, parse_drain_pods
from gpu_core.pods.processes import parse_start
from gpu_core.settings.nvidia_config import decode_nvidia_config
from gpu_exporter.counters_file import parse_counters
from gpu_exporter.pods.api_pods import parse_pod
from gpu_exporter.pods.labels import parse_label_pattern, select_labels
from gpu_exporter.settings import parse_listen, parse_milliseconds
from gpu_operator.feature_groups.values import ValuePool
from gpu_operator.feature_groups.views import parse_group, parse_node_metadata
from gpu_operator.feature_groups.views import parse_node_feature as parse_feature_view
from gpu_operator.garbage.orphans import KINDS, parse_object
from gpu_operator.spec import decode_spec
from gpu_operator.upgrade.progress import parse_progress
from gpu_toolkit.discover import parse_docker_switch, parse_handlers, parse_running_config, parse_systemd_cgroups
from gpu_toolkit.process import parse_command_line, parse_unit
from gpu_toolkit.toml_edit import restore_values, set_values
from gpu_validator.device_nodes import parse_majors
from gpu_validator.settings import parse_skipped
from gpu_validator.slices import check_slices, parse_slices
from gpunode.cdi import device_names
from gpunode.cluster.claim_feed import parse_claim, parse_slice
from gpunode.cluster.feed import parse_node as parse_watched_node
from gpunode.cluster.feed import parse_pod as parse_watched_pod
from gpunode.cluster.metrics import parse_samples
from gpunode.config_check.find import find_configs
from gpunode.demo.control import parse_fault_words
from gpunode.output.age import parse_time as parse_rfc3339
from gpunode.why.explain import explain_pod
from gpunode.why.find import parse_target
from gpunode.why.manifest import parse_manifests
from gpunode.why.scheduler_words import parse_message
from mig_manager.systemd import parse_units
from nfd_lite.config import decode_worker_config
from nfd_lite.cpu.cpuid_decode import CpuidDump, decode_x86
from nfd_lite.cpu.cpuinfo import parse_cpuinfo, translate_flags
from nfd_lite.cpu.hwcap import decode_hwcaps
from nfd_lite.kconfig import parse_kconfig
from nfd_lite.node_labels import parse_node_labels
from nfd_lite.rules.custom import decode_custom_rules, parse_rule_file
from nfd_lite.rules.decode import decode_rule_set, decode_rule_sets
from nfd_lite.rules.expression import RuleError, compile_pattern, parse_integer
from nfd_lite.rules.saved_features import parse_saved_features
from nfd_lite.rules.version import parse_version
from nfd_lite.sources.api import parse_number as parse_count
from nfd_lite.sources.cpu_security import parse_capacities, parse_cpu
from nfd_lite.sources.feature_file import parse_feature_file, parse_time
from nfd_lite.sources.kernel import parse_builtin, parse_modules
from nfd_lite.sources.kernel import parse_version as parse_release
from nfd_lite.sources.system import parse_osrelease
from nfd_lite.topology.kubelet_policy import parse_kubelet_policy
from nfd_lite.topology.node_topology import parse_topology
from nfd_lite.topology.numa import parse_distances, parse_numbers
from nfd_lite.topology.numa import parse_memory as parse_mem_total
from nfd_lite.topology.settings import decode_topology_config, parse_uri
from nfd_lite.user_files import decode_text
from node_core.decode import Document, parse_documents, parse_first_document, parse_yaml
from node_core.domain.duration import parse_duration, parse_interval, parse_sleep_interval
from node_core.domain.label_selector import parse_label_selector
from node_core.domain.node import parse_node
from node_core.domain.node_feature import parse_node_feature
from node_core.domain.pci import PciAddress
from node_core.domain.quantity import canonical_quantity, parse_quantity
from node_core.domain.taints import parse_taint_annotation, render_taint_annotation
from node_core.errors import ClaimError, HostReadError, KubeError, KubeletError, RuntimeConfigError, SettingsError
from node_core.grpc_h2.headers import parse_request as parse_call
from node_core.grpc_h2.headers import parse_timeout
from node_core.grpc_h2.status import CallError, decode_message, parse_status
from node_core.host.uevents import is_hardware, parse_uevent
from node_core.kube.access import parse_access_review, parse_token_review
from node_core.kube.http import parse_event, parse_response
from node_core.kube.pods import parse_pods
from node_core.kube.resource_claims import parse_served_versions
from node_core.publish.lines import parse_lines
from node_core.runtime.config_map import parse_config_map, parse_config_map_name
from node_core.runtime.http_port import parse_address
from node_core.runtime.metrics_guard import bearer_token
from node_core.scheduling.objects import Quantity
from node_core.scheduling.requests import parse_amounts
from simulation.apiserver.request_body import decode_body
from simulation.apiserver.requests import parse_request
from simulation.apiserver.selectors import parse_selection
from simulation.apiserver.status import ApiError
from simulation.scenarios.checks import parse_memory
from simulation.scenarios.mig_profiles import parse_instance
from simulation.scenarios.scenario import load_scenario, parse_fault, parse_scenario
from tests.fuzz.mutations import mutated, mutated_json, mutated_text

ROOT = Path(__file__).parents[2]
AT = PciAddress("0000:02:00.0")
REFUSED = (SettingsError,)
VALUE_ERROR = (ValueError,)
POD = "6f0d5dd2-7d4b-4b1e-8a7c-1f7d0e3a9c11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """parse: parses one input. refuses: the declared errors. Any other error is a bug."""

    parse: Callable[[Any], object]
    inputs: st.SearchStrategy[Any]
    refuses: tuple[type[Exception], ...] = ()


def text(parse: Callable[[str], object], *seeds: str, refuses: tuple[type[Exception], ...] = ()) -> Parser:
    return Parser(parse=parse, inputs=mutated_text(*seeds), refuses=refuses)


def content(parse: Callable[[bytes], object], *seeds: bytes, refuses: tuple[type[Exception], ...] = ()) -> Parser:
    return Parser(parse=parse, inputs=mutated(*seeds), refuses=refuses)


def document(parse: Callable[[Any], object], *seeds: Any, refuses: tuple[type[Exception], ...] = REFUSED) -> Parser:
    return Parser(parse=parse, inputs=mutated_json(*seeds), refuses=refuses)


RUNNING_CONFIG = '{"containerd": {"runtimes": {"runc": {"options": {"SystemdCgroup": true}}}}}'


def change_toml(before: bytes) -> None:
    """A file that is changed can be restored."""
    table, values = ("plugins", "io.containerd.grpc.v1.cri"), {"enable_cdi": True}
    after = set_values(before, "f", table, values)
    restore_values(after, before, "f", table, values)


MANAGED = [
    {"manager": "gfd", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:a/b": {}}, "f:annotations": {"f:c": {}}}}},
    {"manager": "k", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {"f:capacity": {".": {}, "f:cpu": {}}}}},
    {"manager": "nfd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:labels": {"f:x": {}}, "f:features": {"f:flags": {".": {}}}}}},
]  # fmt: skip
METADATA = {
    "name": "n", "namespace": "d", "uid": "u", "resourceVersion": "7", "labels": {"a/b": "1", "nfd.node.kubernetes.io/node-name": "n"},
    "annotations": {"c": "d"}, "managedFields": MANAGED, "ownerReferences": [{"uid": "u", "kind": "Node"}],
}  # fmt: skip
RESOURCE_SLICE = {
    "metadata": METADATA,
    "spec": {
        "driver": "gpu.nvidia.com", "nodeName": "n", "pool": {"name": "n", "generation": 1},
        "devices": [{"name": "gpu-0", "attributes": {"type": {"string": "gpu"}}, "taints": [{"key": "a", "effect": "NoSchedule"}]}],
    },
}  # fmt: skip
RESOURCE_CLAIM = {
    "metadata": METADATA, "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}},
    "status": {
        "allocation": {"devices": {"results": [{"driver": "gpu.nvidia.com", "pool": "n", "device": "gpu-0"}]}},
        "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
    },
}  # fmt: skip
DEVICE_POD = {
    "metadata": METADATA, "status": {"phase": "Running"},
    "spec": {"nodeName": "n", "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1", "cpu": "1e400"}}}]},
}  # fmt: skip
NODE = {
    "metadata": METADATA,
    "spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule", "timeAdded": "t"}]},
    "status": {
        "capacity": {"cpu": "4"},
        "nodeInfo": {"kubeletVersion": "v1.34.0", "containerRuntimeVersion": "containerd://2"},
    },
}
FEATURES = {
    "flags": {"cpu.cpuid": {"elements": {"AVX": {}}}},
    "attributes": {"kernel.version": {"elements": {"full": "6.1", "major": "6"}}},
    "instances": {"pci.device": {"elements": [{"attributes": {"vendor": "10de", "class": "0302"}}]}},
}
NODE_FEATURE = {"metadata": METADATA, "spec": {"labels": {"x": "1"}, "features": FEATURES}}
RULE = {
    "name": "r",
    "labels": {"a": "true"},
    "labelsTemplate": "{{ range .pci.device }}x-{{ .vendor }}=1\n{{ end }}",
    "vars": {"v": "1"},
    "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
    "extendedResources": {"e": "@kernel.version.major"},
    "matchFeatures": [{"feature": "pci.device", "matchExpressions": {
        "vendor": {"op": "In", "value": ["10de"]}, "class": {"op": "Exists"}}}],
    "matchAny": [{"matchFeatures": [{"feature": "cpu.cpuid", "matchName": {"op": "InRegexp", "value": ["^A"]}}]}],
}  # fmt: skip
POD_SPEC = {
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Lt", "value": "5"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}},
    "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": "500m"}, "requests": {"cpu": 0.5}}}],
    "schedulingGates": [{"name": "g"}],
}  # fmt: skip
POD_MANIFEST = {"kind": "Pod", "metadata": {"generateName": "p-", "creationTimestamp": None}, "spec": POD_SPEC}
DEPLOYMENT = {
    "items": [
        {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 2, "template": {"spec": POD_SPEC}}}
    ]
}
GROUP = {
    "metadata": {"name": "g", "namespace": "n", "uid": "u", "generation": 1, "resourceVersion": "1"},
    "spec": {
        "featureGroupRules": [
            {
                "name": "r",
                "vars": {"a": "b"},
                "varsTemplate": "{{range .cpu.cpuid}}c={{.Name}}{{end}}",
                "matchFeatures": [
                    {"feature": "cpu.cpuid", "matchExpressions": {"AVX": {"op": "InRegexp", "value": ["a+"]}}}
                ],
                "matchAny": [{"matchFeatures": [{"feature": "a.b", "matchName": {"op": "Exists"}}]}],
            }
        ]
    },
    "status": {"nodes": [{"name": "n1"}], "conditions": [{"type": "Evaluated", "status": "True"}]},
}
RULES = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeatureRule", "metadata": {"name": "set"}, "spec": {"rules": [RULE]},
}  # fmt: skip
CUSTOM = [RULE, {"name": "old", "matchOn": [{"pciId": {"vendor": ["15b3"]}, "loadedKMod": ["ib"]}]}]
DRIVER = {
    "version": "580.95.05", "kernelModuleType": "open", "env": [{"name": "A", "value": "1"}], "rdma": {"enabled": True}, "unknown": 1,
    "nodeSelector": {"a": "b"}, "upgradePolicy": {"maxUnavailable": "25%", "drain": {"enable": True, "timeoutSeconds": 5}},
}  # fmt: skip
NVIDIA = {
    "version": "v1",
    "flags": {
        "migStrategy": "mixed",
        "gfd": {"sleepInterval": "60s"},
        "plugin": {"deviceListStrategy": ["envvar"], "passDeviceSpecs": True},
    },
    "sharing": {
        "timeSlicing": {
            "renameByDefault": False,
            "resources": [{"name": "nvidia.com/gpu", "replicas": 4, "devices": [0, "1:0"]}],
        }
    },
    "resources": {"gpus": [{"pattern": "A100*", "name": "a100"}], "mig": [{"pattern": "*", "name": "gpu"}]},
    "health": {"holdDown": "60s", "xids": {"94": "ignore"}},
}
MIG_CONFIGS = {
    "version": "v1",
    "mig-configs": {
        "a": [
            {
                "device-filter": ["0x20B010DE"],
                "devices": [0],
                "mig-enabled": True,
                "mig-devices": {"1g.5gb.me": 1, "1c.3g.20gb": 2},
            },
            {"device-filter": "0x20B010DE:0x134F10DE", "devices": "all", "mig-enabled": False},
        ]
    },
}
MIG_HOOKS = {
    "version": "v1",
    "hooks": {"apply-start": [{"workdir": "/", "command": "sh", "args": ["-c", "x"], "envs": {"A": "b"}}]},
}
WORKER = {
    "core": {"sleepInterval": "60s", "featureSources": ["all"], "labelSources": ["-cpu"], "labelWhiteList": ".*", "noPublish": False},
    "sources": {"pci": {"deviceClassWhitelist": ["03"], "deviceLabelFields": ["vendor"]}, "cpu": {"cpuid": {"attributeBlacklist": ["A"]}},
                "kernel": {"configOpts": ["NO_HZ"]}, "custom": CUSTOM},
}  # fmt: skip
SPEC = {
    "cdiVersion": "0.6.0",
    "kind": "nvidia.com/gpu",
    "devices": [
        {
            "name": "0",
            "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0}]},
        }
    ],
    "containerEdits": {
        "env": ["A=b"],
        "mounts": [{"hostPath": "/a", "containerPath": "/b", "options": ["ro"]}],
        "hooks": [{"hookName": "createContainer", "path": "/x", "args": ["a"], "timeout": 5}],
    },
}
SCENARIOS = tuple(
    yaml.safe_load(path.read_text()) for path in sorted((ROOT / "simulation" / "scenarios").glob("*.yaml"))
)
FLEET = load_scenario("h100x8-mig-mixed")
FAULTS: tuple[Any, ...] = (
    {"kind": "lost", "gpu": 3, "for": 30}, {"kind": "xid", "gpu": 7, "code": 94, "mig": 1, "times": 9, "per_second": 2.5},
    {"kind": "mig", "gpu": 7, "instances": ["1g.10gb", "1c.3g.40gb"]}, {"kind": "fails", "call": "nvmlInit_v2", "result": "UNKNOWN"},
)  # fmt: skip
TEMPLATE = '{{- range $i, $e := .a }}{{ if gt $i 1 }}{{ printf "%05.2f" $e }}{{ else }}{{ $e | upper | quote }}{{ end }}{{ end }}'
FEATURE_FILE = "# +expiry-time=2030-01-31T12:00:00Z\n# +no-feature\nexample.com/a=b\nplain\n# +no-label\nx=y\n"
RELEASE = 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n# c\nA=\'b\'\n'
KCONFIG = 'CONFIG_NO_HZ=y\n# CONFIG_X is not set\nCONFIG_V="gcc 13"\nCONFIG_HZ=250\n'
CPUINFO = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 143\nflags\t\t: fpu avx avx512f hypervisor cat_l3\n\n"
XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
MIG_XID = "NVRM: Xid (PCI:0000:3b:00 GPU-I:02 GPU-CI:00): 94, Contained: SM (0x1)"
GUID = "NVRM: GPU at PCI:0000:3b:00: GPU-1f5a1c2e-0000-1111-2222-333344445555"
RECORD = f"4,1,2,-;{XID}\n SUBSYSTEM=pci\n".encode()
UEVENT = b"add@/devices/pci0000:00/0000:00:01.0\0ACTION=add\0DEVPATH=/devices/pci0000:00\0SUBSYSTEM=pci\0SEQNUM=1\0"
MINORS = "config 1\nmonitor 2\ngpu0/gi0/access 3\ngpu0/gi0/ci0/access 4\n"
CACHE = (
    b"glibc-ld.so.cache1.1"
    + struct.pack("<II20xiIIIQ", 1, 40, 3, 72, 89, 0, 0)
    + b"libnvidia-ml.so.1\0/usr/lib/x.so.1\0"
)


def config_space() -> bytes:
    space = bytearray(256)
    space[0x06], space[0x34] = 0x10, 0xD0
    space[0xD0 : 0xD0 + 27] = (
        bytes((0x09, 0, 27)) + b"VF" + bytes((0, 22)) + b"460.16".ljust(10, b"\0") + b"r460_00".ljust(10, b"\0")
    )
    return bytes(space)


words = st.integers(0, (1 << 32) - 1)
registers = st.tuples(words, words, words, words)
leaves = st.sampled_from(
    [0, 1, 2, 4, 7, 0xD, 0xF, 0x10, 0x12, 0x16, 0x19, 0x1D, 0x24, 0x40000000, 0x80000000, 0x80000001, 0x8000001F]
)
cpuid_dumps = st.builds(
    CpuidDump, leaves=st.dictionaries(st.tuples(leaves, st.integers(0, 4)), registers, max_size=20), xcr0=words
)


GPU_CONFIG = {
    "apiVersion": "resource.nvidia.com/v1beta1",
    "kind": "GpuConfig",
    "sharing": {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}},
}


def _cpuid(dump: CpuidDump) -> object:
    found = decode_x86(dump, method="fuzz")
    return parse_cpu(found)


def _feature_file(value: str) -> object:
    found = parse_feature_file(value, 1.8e9)
    assert found.expires_at is None or math.isfinite(found.expires_at)
    return found


def _cdi(spec: Any) -> object:
    return tuple(device_names(spec)), problems_of(spec) or advice_of(spec)


def _canonical(value: Any) -> str:
    """A canonical quantity does not change."""
    first = canonical_quantity(value)
    assert canonical_quantity(first) == first
    return first


def _call_headers(values: bytes) -> object:
    names = (b":method", b"content-type", b"grpc-encoding", b"grpc-timeout", b":path")
    return parse_call(list(zip(names, values.split(b"\n"), strict=False)))


def _owned(value: str) -> object:
    """The parsed taints equal the rendered taints."""
    found = parse_taint_annotation(value)
    assert parse_taint_annotation(render_taint_annotation(found)) == found
    return found


def _lines(value: str) -> dict[str, str]:
    found = parse_lines(value)
    assert parse_lines("".join(f"{key}={value}\n" for key, value in found.items())) == found
    return found


def _template(value: str) -> str:
    return parse_template(value).render({"a": [1, 2, "x"]})


TOPOLOGY = {
    "metadata": {"uid": "u", "annotations": {"a": "b"}, "managedFields": MANAGED, "ownerReferences": [{"uid": "n"}]},
    "zones": [{"name": "node-0", "type": "Node", "resources": []}],
    "attributes": [],
}

PARSERS: Mapping[str, Parser] = {
    "nfd_lite.topology.numa:parse_numbers": text(
        lambda value: parse_numbers("/f", value), "0-3,8\n", refuses=(HostReadError,)
    ),
    "nfd_lite.topology.numa:parse_memory": text(
        lambda value: parse_mem_total("/f", value), "Node 0 MemTotal: 5 kB\n", refuses=(HostReadError,)
    ),
    "nfd_lite.topology.numa:parse_distances": text(
        lambda value: parse_distances("/f", value, [0, 1]), "10 20\n", refuses=(HostReadError,)
    ),
    "nfd_lite.topology.kubelet_policy:parse_kubelet_policy": document(
        parse_kubelet_policy, {"kubeletconfig": {"topologyManagerPolicy": "restricted"}}, refuses=(KubeletError,)
    ),
    "nfd_lite.topology.settings:parse_uri": text(
        parse_uri, "https://[fd00::1]:10250/configz", "file:///a", refuses=VALUE_ERROR
    ),
    "nfd_lite.topology.settings:decode_topology_config": document(
        lambda data: decode_topology_config(data, "f"), {"excludeList": {"*": ["cpu"], "n": ["memory"]}}
    ),
    "nfd_lite.topology.node_topology:parse_topology": document(
        lambda data: parse_response(parse_topology, data), TOPOLOGY, refuses=(KubeError,)
    ),
    "gpu_operator.feature_groups.views:parse_node_feature": document(
        lambda data: parse_response(lambda found: parse_feature_view(found, ValuePool()), data), NODE_FEATURE, refuses=(KubeError,)
    ),
    "gpu_operator.feature_groups.views:parse_group": document(
        lambda data: parse_response(parse_group, data), GROUP, refuses=(KubeError,)
    ),
    "gpu_operator.feature_groups.views:parse_node_metadata": document(
        lambda data: parse_response(parse_node_metadata, data), NODE, refuses=(KubeError,)
    ),
    "gpu_operator.garbage.orphans:parse_object": document(
        lambda data: parse_response(lambda found: [parse_object(kind, found) for kind in KINDS], data),
        NODE_FEATURE,
        refuses=(KubeError,),
    ),
    "device_plugin.gate:parse_gate": text(parse_gate, "nvidia.com/gpu.present=true", refuses=VALUE_ERROR),
    "device_plugin.health.checks:parse_checks": text(lambda value: parse_checks(value, value[::-1]), "all,79, xids,31"),
    "device_plugin.health.kubelet_assessment:parse_amount": text(parse_amount, "8", "2k", "1M"),
    "device_plugin.health.startup_taint:parse_startup_taint": text(parse_startup_taint, "a/b=c:NoSchedule", refuses=VALUE_ERROR),
    "gpu_exporter.counters_file:parse_counters": text(
        lambda value: parse_counters(value, ("DCGM_FI_DEV_GPU_TEMP",)),
        '# x\nDCGM_FI_DEV_GPU_TEMP, gauge, "a, ""b"""\nDCGM_FI_DEV_GPU_TMP, counter, c\n',
    ),
    "gpu_validator.device_nodes:parse_majors": text(parse_majors, "Character devices:\n  1 mem\n195 nvidia\n\nBlock devices:\n259 a\n"),
    "gpu_validator.slices:parse_slices": document(
        lambda given: check_slices(parse_response(parse_slices, given), Inventory(driver=None)),
        {"items": [{"spec": {"pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}, "devices": [{"attributes": {}}]}}]},
        refuses=(KubeError,),
    ),
    "gpu_validator.settings:parse_skipped": text(parse_skipped, "cuda", "cuda,container", " cdi ,", refuses=VALUE_ERROR),
    "gpu_exporter.settings:parse_milliseconds": text(parse_milliseconds, "30000", "100", "86400000", refuses=VALUE_ERROR),
    "gpu_exporter.settings:parse_listen": text(parse_listen, ":9400", "", refuses=VALUE_ERROR),
    "dra_driver.claims.allocation:parse_allocation": document(
        lambda data: parse_allocation(data, ClaimRef(namespace="ml", name="a", uid="u"), "n1"),
        {
            "metadata": {"uid": "u"},
            "status": {
                "allocation": {
                    "devices": {
                        "results": [{"request": "r", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0", "shareID": "s"}],
                        "config": [{"requests": ["r"], "opaque": {"driver": "gpu.nvidia.com", "parameters": GPU_CONFIG}}],
                    }
                }
            },
        },
        refuses=(ClaimError,),
    ),
    "dra_driver.claims.store:parse_claims": content(
        lambda data: parse_claims(data, Path("claims.json")),
        b'{"version": 1, "boot_id": "b", "claims": {"u": {"namespace": "n", "name": "a", "is_prepared": true, "holdings": []}}}',
        refuses=(ClaimError, ValueError),
    ),
    "dra_driver.claims.config:decode_config": document(
        lambda data: check_sharing(decode_config(data), "gpu-0"), GPU_CONFIG, refuses=(ClaimError,)
    ),
    "node_core.kube.resource_claims:parse_served_versions": document(
        lambda data: parse_response(parse_served_versions, data), {"versions": [{"version": "v1"}]}, refuses=(KubeError,)
    ),
    "driver_manager.mounts:parse_mountinfo": text(parse_mountinfo, r"36 35 98:0 /m /run/a\040b rw master:1 - ext4 /dev/x rw"),
    "gpu_core.pods.eviction:parse_drain_pods": document(
        lambda given: parse_response(parse_drain_pods, given),
        {"items": [{"metadata": {"name": "a"}, "spec": {"volumes": [{"emptyDir": {}}]}, "status": {"phase": "Running"}}]},
        refuses=(KubeError,),
    ),
    "gpu_core.pods.eviction:parse_drain_pod": document(
        lambda given: parse_response(parse_drain_pod, given).claims,
        {
            "metadata": {"name": "a"},
            "spec": {"resourceClaims": [{"name": "c", "resourceClaimName": "d"}]},
            "status": {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "d"}]},
        },
        refuses=(KubeError,),
    ),
    "gpu_core.pods.claimants:parse_claim_drivers": document(
        lambda given: parse_response(parse_claim_drivers, given),
        {"status": {"allocation": {"devices": {"results": [{"driver": "gpu.nvidia.com"}]}}}},
        refuses=(KubeError,),
    ),
    "gpu_exporter.pods.api_pods:parse_pod": document(
        lambda data: parse_response(lambda pod: parse_pod(pod, lambda labels: select_labels(labels, ())), data),
        {"metadata": METADATA, "status": {"containerStatuses": [{"name": "c", "containerID": "containerd://a"}]}},
        refuses=(KubeError,),
    ),
    "gpu_core.mig.config:decode_mig_configs": document(lambda data: decode_mig_configs(data, source="f"), MIG_CONFIGS),
    "gpu_core.mig.hooks:decode_hooks": document(lambda data: decode_hooks(data, source="f"), MIG_HOOKS),
    "gpu_core.mig.profile_text:parse_profile": text(parse_profile, "1c.3g.40gb", "1g.24gb+me.all", "2g.48gb-me", refuses=VALUE_ERROR),
    "gpu_core.pods.checkpoint:parse_checkpoint": content(
        parse_checkpoint,
        b'{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c","DeviceIDs":{"-1":["GPU-0"]},"AllocResp":"Cg=="}]},"Checksum":1}',
        refuses=VALUE_ERROR,
    ),
    "gpu_exporter.pods.labels:parse_label_pattern": text(parse_label_pattern, "^app[./](a|b)$", refuses=VALUE_ERROR),
    "gpu_core.pods.cgroups:parse_cgroup": text(
        parse_cgroup, f"0::/kubepods/pod{POD}/{'a' * 64}\n", f"3:pids:/a-pod{POD.replace('-', '_')}.slice:cri-containerd:{'a' * 64}\n"
    ),
    "gpu_core.pods.processes:parse_start": text(parse_start, f"7 (a b) S {'1 ' * 18} 4711 0\n", refuses=VALUE_ERROR),
    "gpunode.config_check.find:find_configs": content(
        lambda value: find_configs(Document(source="f", content=value)),
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "version: v1", "b": "core: {}"}}).encode(),
        b"config: {map: {a: 'version: v1', b: {flags: {}}}}\nnfd: {worker: {config: {core: {}}}}\n",
        refuses=REFUSED,
    ),
    "gpunode.cluster.claim_feed:parse_slice": document(
        lambda data: parse_response(lambda obj: parse_slice(obj, 1), data), RESOURCE_SLICE, refuses=(KubeError,)
    ),
    "gpunode.cluster.claim_feed:parse_claim": document(
        lambda data: parse_response(lambda obj: parse_claim(obj, 1), data), RESOURCE_CLAIM, refuses=(KubeError,)
    ),
    "gpunode.cluster.feed:parse_node": document(
        lambda data: parse_response(lambda node: parse_watched_node(node, 1), data), NODE, refuses=(KubeError,)
    ),
    "gpunode.cluster.feed:parse_pod": document(
        lambda data: parse_response(lambda pod: parse_watched_pod(pod, 1), data), DEVICE_POD, refuses=(KubeError,)
    ),
    "gpunode.cluster.metrics:parse_samples": text(
        parse_samples,
        '# HELP a b\n# TYPE gpunode_xids counter\ngpunode_xids_total{gpu="G",xid="79"} 3.0\na{b="c\\n"} NaN 1\n',
        refuses=VALUE_ERROR,
    ),
    "gpunode.output.age:parse_time": text(
        parse_rfc3339, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z", "0001-01-01T00:00:00+23:59", refuses=VALUE_ERROR
    ),
    "gpunode.cdi:device_names": document(_cdi, SPEC),
    "nfd_lite.config:decode_worker_config": document(lambda data: decode_worker_config(data, "f"), WORKER, refuses=REFUSED),
    "nfd_lite.rules.custom:decode_custom_rules": document(decode_custom_rules, CUSTOM),
    "nfd_lite.rules.custom:parse_rule_file": text(
        lambda value: parse_rule_file(value, "f"), yaml.safe_dump(CUSTOM), json.dumps(RULES), refuses=REFUSED
    ),
    "nfd_lite.rules.decode:decode_rule_set": document(decode_rule_set, RULES),
    "nfd_lite.rules.decode:decode_rule_sets": document(lambda data: decode_rule_sets([data, data], "f"), RULES),
    "gpunode.why.find:parse_target": text(parse_target, "deploy/web", "web-0", refuses=REFUSED),
    "gpunode.why.manifest:parse_manifests": document(
        lambda value: [explain_pod(each) for each in parse_manifests((value,), "f", "d")], POD_MANIFEST, DEPLOYMENT
    ),
    "gpunode.why.scheduler_words:parse_message": text(
        parse_message, "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes"
    ),
    "node_core.decode:parse_documents": text(
        lambda value: parse_documents(value, "f"), "a: [1, {b: c}]\n---\n- 2001-01-01 00:00:00 +99:99\n- 0x1F\n- 1e3\n", refuses=REFUSED
    ),
    "nfd_lite.rules.expression:compile_pattern": text(compile_pattern, "^(a|b){2,3}[[:alpha:]]*?$", "(?P<x>.)", refuses=(RuleError,)),
    "nfd_lite.rules.expression:parse_integer": text(parse_integer, "-9223372036854775808", refuses=VALUE_ERROR),
    "nfd_lite.rules.saved_features:parse_saved_features": text(
        lambda value: parse_saved_features(value, "f"), yaml.safe_dump(FEATURES), json.dumps(NODE_FEATURE), refuses=REFUSED
    ),
    "gotemplate.template:parse_template": text(_template, TEMPLATE, '{{ "a" | b64enc }}', refuses=(TemplateError,)),
    "gotemplate.functions.semver:parse_version": text(parse_semver, "1.2.3-rc.1+x", refuses=(TemplateError,)),
    "gotemplate.literals:parse_float": text(parse_float, "1.5e3", "0x1p-2", "1_0.5"),
    "gotemplate.literals:parse_integer": text(parse_int, "0x1F", "-0b11", "0o7", "1_000"),
    "gotemplate.literals:parse_number": text(parse_number, "0x1F", "1e400", "1.5", refuses=(TemplateError,)),
    "gotemplate.times:parse_duration": text(parse_go_duration, "-1h30m1.5s", "300ms"),
    "gotemplate.parse_time:parse_time": text(
        lambda value: parse_go_time("2006-01-02T15:04:05.999Z07:00", value), "2026-01-31T12:00:00.5+02:00", refuses=(TemplateError,)
    ),
    "nfd_lite.rules.version:parse_version": text(parse_version, "v1.2.3-rc.1+x", "4.18.0-553.el8_10.x86_64", refuses=VALUE_ERROR),
    "nfd_lite.sources.api:parse_number": text(lambda value: parse_count("f", value), "42", refuses=(HostReadError,)),
    "nfd_lite.sources.cpu_security:parse_capacities": text(parse_capacities, "sev 100\nsev_es 15\n"),
    "nfd_lite.sources.feature_file:parse_feature_file": text(_feature_file, FEATURE_FILE),
    "nfd_lite.sources.feature_file:parse_time": text(parse_time, "2026-01-31T12:00:00Z", "0001-01-01T00:00:00+23:59", refuses=VALUE_ERROR),
    "nfd_lite.user_files:decode_text": content(lambda data: decode_text(data, 1 << 16), FEATURE_FILE.encode()),
    "nfd_lite.sources.kernel:parse_builtin": text(parse_builtin, "kernel/fs/ext4/ext4.ko\nkernel/a-b.ko.xz\n"),
    "nfd_lite.sources.kernel:parse_modules": text(parse_modules, "nvidia 9764864 12 - Live 0x0 (POE)\nib_uverbs 1 2 x, Live 0x0\n"),
    "nfd_lite.sources.kernel:parse_version": text(parse_release, "6.8.0-45-generic", "5.14.0+"),
    "nfd_lite.sources.system:parse_osrelease": text(parse_osrelease, RELEASE),
    "node_core.decode:parse_first_document": content(
        lambda value: parse_first_document(Document(source="f", content=value)),
        b"a: &x [1]\nb: *x\n---\nc: [\n", b'{"a": 1}\n{"b": 2}\n', b"---\n---\na: 1\n",
        refuses=REFUSED,
    ),
    "node_core.decode:parse_yaml": content(
        lambda value: parse_yaml(Document(source="f", content=value)),
        yaml.safe_dump(NVIDIA).encode(), b"a: &x [1]\nb: *x\n<<: {c: !!binary YQ==}\n? [k]\n: v\n",
        refuses=REFUSED,
    ),
    "gpu_core.domain.cdi_schema:problems_of": document(problems_of, SPEC),
    "node_core.domain.duration:parse_sleep_interval": text(parse_sleep_interval, "1m30s", "-60", "5ms", "infinite", refuses=VALUE_ERROR),
    "node_core.domain.duration:parse_duration": text(parse_duration, "1m30s", "60", "500ms", refuses=VALUE_ERROR),
    "node_core.domain.duration:parse_interval": text(parse_interval, "1m30s", "60", "500ms", "infinite", refuses=VALUE_ERROR),
    "nfd_lite.node_labels:parse_node_labels": text(
        lambda given: parse_node_labels(given, "a file"),
        "nvidia.com/gpu.count=8\n",
        "metadata: {labels: {nvidia.com/gpu.count: '8'}}\n",
        refuses=(SettingsError,),
    ),
    "node_core.kube.http:parse_event": content(
        lambda line: parse_event(line, "a watch"), b'{"type": "ADDED", "object": {}}', refuses=(KubeError,)
    ),
    "node_core.domain.label_selector:parse_label_selector": text(
        parse_label_selector, "a=b,c!=d,e in (f,g),!h", refuses=VALUE_ERROR
    ),
    "mig_manager.systemd:parse_units": text(parse_units, "nvsm.service loaded active running NVSM\n"),
    "node_core.kube.pods:parse_pods": document(
        lambda data: parse_response(parse_pods, data),
        {"items": [{**POD_MANIFEST, "metadata": {"name": "p", "uid": "u", "ownerReferences": [{"kind": "DaemonSet"}]}}]},
        refuses=(KubeError,),
    ),
    "gpu_core.clients.pause:parse_record": text(
        lambda value: pause.parse_record({}, {pause.Pause.MIG_CHANGE.annotation: value}, pause.Pause.MIG_CHANGE),
        '{"nvidia.com/gpu.deploy.dcgm": "true", "nvidia.com/gpu.deploy.nvsm": null}',
    ),
    "gpu_core.mig.clients_file:decode_services": document(
        lambda data: decode_services(data, source="f"),
        {"version": "v1", "systemd-services": ["nvsm.service"]},
        refuses=(SettingsError,),
    ),
    "node_core.domain.node:parse_node": document(lambda data: parse_response(parse_node, data), NODE, refuses=(KubeError,)),
    "node_core.domain.node_feature:parse_node_feature": document(
        lambda data: parse_response(parse_node_feature, data), NODE_FEATURE, refuses=(KubeError,)
    ),
    "gpu_core.domain.release:parse_seconds": text(parse_seconds, "10m", "", " 1h ", refuses=VALUE_ERROR),
    "node_core.runtime.config_map:parse_config_map": document(
        lambda data: parse_config_map(data, "ConfigMap n/c"),
        {"data": {"a": "version: v1", "b": ""}, "binaryData": {"c": "/w=="}},
    ),
    "node_core.runtime.config_map:parse_config_map_name": text(parse_config_map_name, "kube-system/configs", refuses=VALUE_ERROR),
    "node_core.domain.quantity:parse_quantity": text(parse_quantity, "64Gi", "-1.5e3", "500m", refuses=VALUE_ERROR),
    "node_core.domain.quantity:canonical_quantity": text(_canonical, "64Gi", "+1.5e3", "0.0000000001", refuses=VALUE_ERROR),
    "gpu_core.domain.selection:parse_devices": document(
        parse_devices, ["0", 1, "1:0", "GPU-1f5a1c2e-0000-1111-2222-333344445555", "0000:3b:00.0", "A100*"], "all", 2, refuses=VALUE_ERROR
    ),
    "node_core.domain.taints:parse_taint_annotation": text(_owned, "a/b=c:NoSchedule,d:NoExecute"),
    "node_core.grpc_h2.headers:parse_request": content(
        _call_headers, b"POST\napplication/grpc\nidentity\n10S", b"GET\ntext/html\ngzip\n1x", refuses=(CallError,)
    ),
    "node_core.grpc_h2.headers:parse_timeout": content(parse_timeout, b"10S", b"99999999n", refuses=(CallError,)),
    "node_core.grpc_h2.status:decode_message": content(decode_message, b"no %C3%A9 of 100%25"),
    "node_core.scheduling.requests:parse_amounts": document(
        lambda value: parse_amounts(msgspec.convert(value, dict[str, Quantity])),
        {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": 2},
        refuses=(ValueError, msgspec.ValidationError),
    ),
    "node_core.grpc_h2.status:parse_status": content(parse_status, b"0", b"16", b"99"),
    "nfd_lite.cpu.cpuinfo:parse_cpuinfo": content(
        lambda packed: translate_flags(parse_cpuinfo(packed.decode(errors="replace"))), CPUINFO.encode()
    ),
    "nfd_lite.cpu.cpuid_decode:decode_x86": Parser(parse=_cpuid, inputs=cpuid_dumps),
    "nfd_lite.cpu.hwcap:decode_hwcaps": Parser(
        parse=lambda asked: decode_hwcaps(*asked), inputs=st.tuples(st.sampled_from(["aarch64", "riscv64", "x"]), words, words)
    ),
    "gpu_core.nvml.inventory:parse_bus_id": text(parse_bus_id, "00000000:17:00.0"),
    "gpu_core.discovery.pci_ids:parse_device_names": text(
        lambda value: parse_device_names(value, "10de"), "10de  NVIDIA\n\t2330  GH100\n\t\t10de 16c1  H100\n"
    ),
    "dra_driver.slices.previous:parse_devices": document(
        lambda data: parse_published_devices({"n1-gpu.nvidia.com-0": data} if isinstance(data, dict) else {}, "n1"),
        {
            "spec": {
                "sharedCounters": [{"name": "gpu-0-counter-set", "counters": {"memory": {"value": "80Gi"}}}],
                "devices": [
                    {
                        "name": "gpu-0",
                        "attributes": {"type": {"string": "gpu"}, "uuid": {"string": "GPU-0"}, "n": {"int": 1}},
                        "capacity": {"memory": {"value": "80Gi"}},
                        "consumesCounters": [{"counterSet": "gpu-0-counter-set", "counters": {"memory": {"value": "80Gi"}}}],
                    }
                ],
            }
        },
        refuses=(),
    ),
    "dra_driver.devices.attributes:parse_version": text(parse_driver_version, "550.54.15", "470.05"),
    "gpu_core.nvml.driver_version:parse_proc_version": text(
        parse_proc_version, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    ),
    "nfd_lite.kconfig:parse_kconfig": content(parse_kconfig, KCONFIG.encode(), gzip.compress(KCONFIG.encode(), mtime=0)),
    "gpu_core.host.ld_cache:parse_ld_cache": content(lambda packed: list(parse_ld_cache(packed)), CACHE, b"ld.so-1.7.0" + CACHE),
    "gpu_core.host.mig_caps:parse_mig_minors": text(parse_mig_minors, MINORS),
    "gpu_core.host.pci_config:parse_host_driver": content(parse_host_driver, config_space()[0xD0:]),
    "gpu_core.host.pci_config:parse_vendor_capabilities": content(lambda packed: list(parse_vendor_capabilities(packed)), config_space()),
    "gpu_core.host.pci_config:parse_vgpu": content(lambda packed: parse_vgpu(AT, packed), config_space()),
    "gpu_core.host.tegra:parse_list": text(parse_list, "dev, /dev/nvmap\ndir, /usr/share/cuda\nlib, /a/b.so\nsym, /a/c.so\n"),
    "node_core.host.uevents:parse_uevent": content(lambda packed: is_hardware(parse_uevent(packed)), UEVENT),
    "gpu_core.host.xid_lines:parse_guid": text(parse_guid, GUID),
    "gpu_core.host.xid_lines:parse_record": content(parse_record, RECORD),
    "gpu_core.host.xid_lines:parse_xid": text(parse_xid, XID, MIG_XID, GUID),
    "node_core.kube.access:parse_access_review": document(
        lambda data: parse_response(parse_access_review, data), {"status": {"allowed": True}}, refuses=(KubeError,)
    ),
    "node_core.kube.access:parse_token_review": document(
        lambda data: parse_response(parse_token_review, data),
        {"status": {"authenticated": True, "user": {"username": "u", "groups": ["g"], "extra": {"a": ["b"]}}}},
        refuses=(KubeError,),
    ),
    "node_core.publish.lines:parse_lines": text(_lines, "a/b=c\nd=\n# x\n"),
    "node_core.runtime.http_port:parse_address": text(parse_address, "[::1]:8080", "host.name:65535", ":0", refuses=VALUE_ERROR),
    "node_core.runtime.metrics_guard:bearer_token": text(bearer_token, "Bearer abc.def"),
    "gpu_operator.spec:decode_spec": document(decode_spec, DRIVER, refuses=()),
    "gpu_operator.upgrade.progress:parse_progress": text(parse_progress, "upgrade-done 1764430000 5d9f7c"),
    "gpu_core.settings.nvidia_config:decode_nvidia_config": document(
        lambda data: decode_nvidia_config(data, ("gfd", "plugin"), source="f"), NVIDIA
    ),
    "simulation.apiserver.request_body:decode_body": Parser(
        parse=lambda asked: decode_body({"content-type": asked[0]}, asked[1]),
        inputs=st.tuples(st.sampled_from(["application/json", "application/yaml"]), mutated(json.dumps(NODE).encode())),
        refuses=(ApiError,),
    ),
    "simulation.apiserver.requests:parse_request": text(
        lambda value: parse_request("GET", value), "/api/v1/namespaces/a/pods/b/status?watch=1", refuses=(ApiError, ValueError)
    ),
    "gpu_toolkit.discover:parse_running_config": text(parse_running_config, '{"enableCDI": true, "cdiSpecDirs": ["/etc/cdi"]}'),
    "gpu_toolkit.discover:parse_handlers": text(parse_handlers, RUNNING_CONFIG),
    "gpu_toolkit.discover:parse_systemd_cgroups": text(parse_systemd_cgroups, RUNNING_CONFIG),
    "gpu_toolkit.discover:parse_docker_switch": content(
        parse_docker_switch, b'{"features": {"cdi": true}, "exec-opts": ["a"]}', refuses=(RuntimeConfigError,)
    ),
    "gpu_toolkit.process:parse_command_line": content(parse_command_line, b"containerd\0--config\0/etc/c.toml\0"),
    "gpu_toolkit.process:parse_unit": text(parse_unit, "0::/system.slice/containerd.service\n1:name=systemd:/a.service\n"),
    "gpu_toolkit.toml_edit:parse_toml": content(
        change_toml,
        *((ROOT / "tests/gpu_toolkit/configs" / name).read_bytes() for name in ("k3s-1.7.toml", "microk8s-template.toml")),
        refuses=(RuntimeConfigError,),
    ),
    "simulation.apiserver.selectors:parse_selection": text(
        lambda value: parse_selection("Pod", fields=value), "metadata.name=a,spec.nodeName!=b", refuses=(ApiError,)
    ),
    "simulation.scenarios.mig_profiles:parse_instance": text(
        lambda value: parse_instance("NVIDIA H100 80GB HBM3", value), "1c.3g.40gb", "1g.10gb+me", refuses=VALUE_ERROR
    ),
    "gpunode.demo.control:parse_fault_words": text(
        lambda value: parse_fault_words(value.split()), "lost gpu=3 for=1.5", "mig gpu=0 instances=[1g.10gb,2g.20gb]", "xid at=2024-13-45",
        refuses=REFUSED,
    ),
    "simulation.scenarios.scenario:parse_fault": document(
        lambda data: parse_fault(FLEET, data if isinstance(data, dict) else {"kind": data}, number=1),
        *FAULTS,
    ),
    "simulation.scenarios.scenario:parse_scenario": document(lambda data: parse_scenario("n", data, source="f"), *SCENARIOS),
    "simulation.scenarios.checks:parse_memory": text(parse_memory, "81559Mi", refuses=VALUE_ERROR),
}  # fmt: skip

EXCLUDED: Mapping[str, str] = {
    "gpu_operator.spec:decode_driver": "decodes the spec with decode_spec",
    "gpu_operator.upgrade.budget:parse_limit": "accepts only values that decode_spec accepts",
    "gpu_operator.upgrade.keys:parse_state": "compares names",
    "gpunode.demo.changes:parse_node_state": "reads only objects of the demo's API server",
    "nfd_lite.config:parse_sources": "by decode_worker_config and test_settings.py: names are compared",
    "nfd_lite.config:parse_white_list": "google-re2 parses",
    "nfd_lite.rules.decode:decode_rule": "by decode_rule_set",
    "gpu_operator.feature_groups.views:decode_group": "by parse_group",
    "gpu_operator.feature_groups.views:parse_status": "by parse_group",
    "nfd_lite.rules.decode:decode_rules": "by decode_rule_set",
    "gotemplate.expression_parser:parse_pipe": "by parse_template",
    "gotemplate.literals:parse_character": "accepts only tokens of the lexer; by parse_template",
    "gotemplate.literals:parse_string": "accepts only tokens of the lexer; by parse_template",
    "gotemplate.parser:parse_program": "by parse_template",
    "nfd_lite.sources.cpu_security:parse_cpu": "accepts a CpuInfo; by decode_x86",
    "node_core.decode:decode_struct": "by decode_nvidia_config, decode_worker_config and parse_scenario",
    "node_core.runtime.certificate_expiry:parse_expiry": "by test_certificate_expiry.py: any bytes",
    "node_core.domain.quantity:parse_api_quantity": "by parse_amounts",
    "node_core.domain.conditions:parse_conditions": "by parse_node",
    "node_core.domain.taints:parse_taint": "reads only taints that the API server has validated",
    "node_core.kube.http:parse_response": "calls a given parser",
    "gpu_core.domain.selection:parse_device": "by parse_devices",
    "gpu_core.domain.selection:parse_device_list": "by parse_devices",
    "nfd_lite.cpu.cpuid_decode:decode_family_model": "by decode_x86",
    "nfd_lite.cpu.cpuid_decode:decode_flags": "by decode_x86",
    "nfd_lite.cpu.cpuid_decode:decode_hypervisor": "by decode_x86",
    "nfd_lite.cpu.cpuid_decode:decode_rdt": "by decode_x86",
    "nfd_lite.cpu.cpuid_decode:decode_vendor": "by decode_x86",
    "node_core.host.inotify:parse_events": "reads only events of the kernel",
    "gpu_core.nvml.inventory:parse_cuda_version": "accepts a number",
    "node_core.runtime.command:parse_command": "test_command.py: the command line",
    "node_core.runtime.named_config:parse_named_config": "accepts parsed values",
    "gpu_core.settings.nvidia_devices:parse_device_rules": "by decode_nvidia_config",
    "gpu_core.settings.nvidia_sharing:parse_or_report": "calls a given parser",
    "gpu_core.settings.nvidia_sharing:parse_sharing": "by decode_nvidia_config",
    "node_core.runtime.setting:parse_path": "pathlib parses",
    "simulation.apiserver.apply:parse_owners": "only managedFields of the simulated API server",
    "simulation.apiserver.decoding:decode_problem": "test_handler.py: every body gets a response or an ApiError",
    "simulation.apiserver.fields:parse_fields": "only managedFields of the simulated API server",
    "simulation.apiserver.requests:parse_query": "by parse_request",
    "mig_manager.configs:decode_configs": "parses YAML, then decode_mig_configs",
}
"""The reason for each parser that is not in PARSERS: the parser that calls it, or the source of its input."""
