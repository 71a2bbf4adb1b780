"""The DaemonSets of every overlay match the programs: flags, probes, ports, accounts and mounts."""

import click
import pytest
import yaml

from device_plugin.__main__ import command as plugin
from dra_driver.__main__ import command as dra_driver
from gfd.__main__ import command as gfd
from gpu_exporter.__main__ import command as exporter
from gpu_operator.__main__ import command as gpu_operator
from gpu_toolkit.__main__ import command as gpu_toolkit
from gpu_validator.__main__ import command as validator
from gpunode.run import command as run_command
from mig_manager.__main__ import command as mig_manager
from nfd_lite.__main__ import command as nfd
from nfd_lite.topology.__main__ import command as topology
from nfd_lite.topology.settings import KUBELET_PORT
from node_core.runtime.command import parse_command
from tests.manifests.helm import MANIFESTS, Obj
from tests.manifests.kustomize import OVERLAYS, built, of_kind, overlay

COMMANDS: dict[tuple[str, ...], click.Command] = {
    ("nfd-lite",): nfd,
    ("nfd-lite-topology",): topology,
    ("gfd",): gfd,
    ("gpu-device-plugin",): plugin,
    ("gpu-exporter",): exporter,
    ("mig-manager",): mig_manager,
    ("gpu-toolkit",): gpu_toolkit,
    ("gpu-validator",): validator,
    ("gpu-operator",): gpu_operator,
    ("gpu-dra-driver",): dra_driver,
    ("gpunode", "run"): run_command,
}
AGENTS = {"nfd-lite", "gfd", "gpu-device-plugin"}
WRITABLE = {"lock", "device-plugins", "cdi"}
PRIVILEGED = {
    ("gke-cos", "gfd"),
    ("gke-cos", "gpu-device-plugin"),
    ("mig-manager", "mig-manager"),
    ("gpu-toolkit", "gpu-toolkit"),
    ("gpu-validator", "gpu-validator"),
}
SYS_ADMIN = {(f"mig-{strategy}", agent) for strategy in ("single", "mixed") for agent in ("gfd", "gpu-device-plugin")}
EXTRA = {
    "gpu-exporter": "gpu-exporter",
    "topology": "nfd-lite-topology",
    "mig-manager": "mig-manager",
    "gpu-toolkit": "gpu-toolkit",
    "gpu-validator": "gpu-validator",
}
"""Overlay -> the agent that it adds."""
OF_HOST = {"mig-manager", "gpu-toolkit"}
"""NVML reports processes only in the PID namespace of the host; gpu-toolkit reads the process of the container runtime."""
READS_PLUGINS = {"gpu-exporter", "gpu-validator", "nfd-lite-topology", "mig-manager"}
"""The agents that only read the folder of device plugins."""
ROOT = {
    "gpu-device-plugin",
    "gpu-dra-driver",
    "gpu-exporter",
    "gpunode",
    "mig-manager",
    "gpu-toolkit",
    "gpu-validator",
    "nfd-lite-topology",
}
"""The agents that run as root, which owns the folders of the kubelet."""
USES_GPUS = {
    "gfd",
    "gpu-device-plugin",
    "gpu-dra-driver",
    "gpu-exporter",
    "mig-manager",
    "gpu-toolkit",
    "gpu-validator",
}
"""The agents that run only on nodes with GPUs."""


def agents(name: str) -> set[str]:
    if name == "single-process":
        return {"gpunode"}
    if name == "dra":
        return AGENTS - {"gpu-device-plugin"} | {"gpu-dra-driver"}
    return AGENTS | {EXTRA[name]} if name in EXTRA else AGENTS


each_agent = pytest.mark.parametrize(
    ("name", "agent"), [(name, agent) for name in OVERLAYS for agent in sorted(agents(name))]
)


def pod(name: str, agent: str) -> Obj:
    found: Obj = of_kind(overlay(name), "DaemonSet")[agent]["spec"]["template"]["spec"]
    return found


def container(name: str, agent: str) -> Obj:
    (only,) = pod(name, agent)["containers"]
    found: Obj = only
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_agent_has_its_own_daemon_set_and_account(name: str) -> None:
    accounts, daemon_sets = of_kind(overlay(name), "ServiceAccount"), of_kind(overlay(name), "DaemonSet")
    assert daemon_sets.keys() == agents(name)
    assert accounts.keys() - {"gpu-operator", "gpu-driver"} == agents(name)
    for agent in daemon_sets:
        assert pod(name, agent)["serviceAccountName"] == agent


@pytest.mark.parametrize("name", OVERLAYS)
def test_bindings_reference_existing_accounts(name: str) -> None:
    """gpu-exporter has no rights."""
    accounts = of_kind(overlay(name), "ServiceAccount").keys()
    bindings = [each for each in overlay(name) if each["kind"].endswith("RoleBinding")]
    assert {subject["name"] for each in bindings for subject in each["subjects"]} == accounts - {"gpu-exporter"}


def test_the_manifests_without_an_overlay_equal_the_default_overlay() -> None:
    assert built(MANIFESTS) == overlay("default")
    assert of_kind(built(MANIFESTS), "CustomResourceDefinition")
    assert not of_kind(overlay("with-nfd"), "CustomResourceDefinition")


@each_agent
def test_the_program_accepts_the_command_and_the_arguments(name: str, agent: str) -> None:
    found = container(name, agent)
    files = f"--config={MANIFESTS / 'overlays' / name}/"
    args = [arg.replace("--config=/etc/gpunode/nfd-worker/", files) for arg in found["args"]]
    values = parse_command(COMMANDS[tuple(found["command"])], args, agent)
    assert values is not None
    ports = {port["name"]: f":{port['containerPort']}" for port in found["ports"]}
    assert values["http_address"] == ports["http"]
    assert (values.get("address") or None) == ports.get("metrics")


@each_agent
def test_the_pod_sets_the_node_name_and_probes_the_health_server(name: str, agent: str) -> None:
    variables = {variable["name"]: variable for variable in container(name, agent)["env"]}
    assert variables["NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    assert ("NVIDIA_VISIBLE_DEVICES" in variables) == (agent != "gpu-toolkit" and not agent.startswith("nfd-lite"))
    assert ("NODE_ADDRESS" in variables) == (agent == "nfd-lite-topology")
    assert container(name, agent)["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container(name, agent)["readinessProbe"]["httpGet"]["path"] == "/readyz"


@each_agent
def test_every_mount_has_a_volume_and_only_required_mounts_are_writable(name: str, agent: str) -> None:
    volumes = {volume["name"] for volume in pod(name, agent)["volumes"]}
    mounts = container(name, agent)["volumeMounts"]
    assert volumes == {mount["name"] for mount in mounts}
    may_write = WRITABLE | ({"dev"} if (name, agent) in PRIVILEGED else set())
    may_write -= {"device-plugins"} if agent in READS_PLUGINS else set()
    may_write -= {"cdi"} if agent == "gpu-validator" else set()
    may_write |= {
        "mig-manager": {"mig-state"},
        "gpu-toolkit": {"mig-state", "host"},
        "gpu-validator": {"validations"},
        "gpu-dra-driver": {"dra-plugin", "dra-registry"},
    }.get(agent, set())
    assert {mount["name"] for mount in mounts if not mount.get("readOnly")} <= may_write


@each_agent
def test_an_agent_has_only_the_privileges_of_its_overlay(name: str, agent: str) -> None:
    context, key = container(name, agent)["securityContext"], (name, agent)
    assert context["readOnlyRootFilesystem"] is True
    assert ("privileged" in context) == (key in PRIVILEGED)
    if key not in PRIVILEGED:
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["capabilities"].get("add", []) == (["SYS_ADMIN"] if key in SYS_ADMIN else [])
        assert context.get("allowPrivilegeEscalation", True) is (key in SYS_ADMIN)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    is_root = agent in ROOT or key in PRIVILEGED | SYS_ADMIN
    assert context.get("runAsNonRoot", False) is not is_root
    assert (context["runAsUser"] == 0) is is_root
    of_host = {"hostNetwork", "hostPID", "hostIPC"} & pod(name, agent).keys()
    assert of_host == ({"hostPID"} if agent in OF_HOST else set())


@each_agent
def test_agents_have_a_high_priority_select_gpu_nodes_and_tolerate_every_taint(name: str, agent: str) -> None:
    found = pod(name, agent)
    assert found["priorityClassName"] == "system-node-critical"
    assert found["tolerations"] == [{"operator": "Exists"}]
    assert found.get("nodeSelector") == ({"nvidia.com/mig.capable": "true"} if agent == "mig-manager" else None)
    with_gpus = agent in USES_GPUS and name != "everywhere"
    assert ("affinity" in found) == with_gpus
    if with_gpus:
        terms = found["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        selected = {each["key"] for term in terms for each in term["matchExpressions"] if each["operator"] == "In"}
        assert len(selected) == len(terms), "one label of a node is sufficient"
        assert {"nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-0302_10de.present"} <= selected


@each_agent
def test_no_pod_requests_gpus_or_requires_a_host_path_that_may_be_missing(name: str, agent: str) -> None:
    assert not any(amount.startswith("nvidia.com/") for amount in container(name, agent)["resources"]["requests"])
    paths = {each["name"]: each["hostPath"] for each in pod(name, agent)["volumes"] if "hostPath" in each}
    required = {each for each, path in paths.items() if path.get("type") in ("Directory", "File")}
    assert required <= {"proc", "sys", "dev", "os-release", "device-plugins", "host", "usr"}


def test_the_network_policy_selects_all_agents_and_allows_metrics() -> None:
    (policy,) = of_kind(overlay("default"), "NetworkPolicy").values()
    for name in OVERLAYS:
        for daemon_set in of_kind(overlay(name), "DaemonSet").values():
            selector = policy["spec"]["podSelector"]["matchLabels"].items()
            assert selector <= daemon_set["spec"]["template"]["metadata"]["labels"].items()
    (port,) = container("default", "gfd")["ports"]
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": port["name"]}]}]
    (policy,) = of_kind(overlay("gpu-exporter"), "NetworkPolicy").values()
    allowed = {each["port"] for each in policy["spec"]["ingress"][0]["ports"]}
    assert allowed == {each["name"] for each in container("gpu-exporter", "gpu-exporter")["ports"]}


def test_the_service_has_the_port_of_dcgm_exporter_and_selects_gpu_exporter() -> None:
    (service,) = of_kind(overlay("gpu-exporter"), "Service").values()
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (9400, "metrics")
    template = of_kind(overlay("gpu-exporter"), "DaemonSet")["gpu-exporter"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_the_scc_of_openshift_allows_only_host_paths() -> None:
    scc = yaml.safe_load((MANIFESTS / "overlays" / "openshift" / "scc.yaml").read_text())
    assert set(scc["users"]) == {
        f"system:serviceaccount:gpunode:{account}"
        for account in (*AGENTS, "gpu-exporter", "nfd-lite-topology", "gpunode", "gpunode-cleanup")
    }
    assert scc["requiredDropCapabilities"] == ["ALL"]
    allowed = {name for name, value in scc.items() if name.startswith("allow") and value}
    assert allowed == {"allowHostDirVolumePlugin"}
    for agent in AGENTS:
        kinds = {kind for volume in pod("openshift", agent)["volumes"] for kind in volume if kind != "name"}
        assert kinds <= set(scc["volumes"])
        assert container("openshift", agent)["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}


def test_the_namespace_has_the_privileged_pod_security_level() -> None:
    labels = of_kind(overlay("default"), "Namespace")["gpunode"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_the_topology_agent_may_connect_to_the_kubelet_of_its_node() -> None:
    policy = of_kind(overlay("topology"), "NetworkPolicy")["nfd-lite-topology"]
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["spec"]["egress"] == [{"ports": [{"protocol": "TCP", "port": KUBELET_PORT}]}]
    template = of_kind(overlay("topology"), "DaemonSet")["nfd-lite-topology"]["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_the_topology_agent_does_not_see_the_secrets_of_pods() -> None:
    """They are below the folder of the kubelet."""
    paths = {volume["hostPath"]["path"] for volume in pod("topology", "nfd-lite-topology")["volumes"]}
    assert paths == {"/sys", "/run/gpunode", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet/pod-resources"}
