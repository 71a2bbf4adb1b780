"""The values of nfd-lite-topology become flags, mounts, rights and objects."""

from typing import Any

import pytest

from nfd_lite.topology.__main__ import command
from node_core.runtime.command import parse_command
from tests.manifests.helm import Obj
from tests.manifests.test_chart import container, rendered

AGENT = "nfd-lite-topology"

pytestmark = pytest.mark.usefixtures("helm_binary")


def enabled(**values: Any) -> Obj:
    return {"topologyUpdater": {"enable": True, **values}}


def parsed(values: Obj) -> dict[str, Any]:
    found = parse_command(command, [arg for arg in container(values, AGENT)["args"] if "--config=" not in arg], AGENT)
    assert found is not None
    return found


def host_paths(values: Obj) -> dict[str, str]:
    """Returns mount path -> host path."""
    pod = rendered(values)["DaemonSet", AGENT]["spec"]["template"]["spec"]
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    mounts = pod["containers"][0]["volumeMounts"]
    return {mount["mountPath"]: paths[mount["name"]] for mount in mounts if mount["name"] in paths}


def test_the_agent_is_off_by_default_and_during_a_cleanup() -> None:
    for values in ({}, {**enabled(), "cleanup": {"enabled": True}}):
        names = [name for _, name in rendered(values) if "topology" in name]
        assert all(name.startswith("gpunode-cleanup") for name in names)


@pytest.mark.parametrize("values", [enabled(), {**enabled(), "singleProcess": {"enabled": True}}])
def test_the_agent_has_its_own_process_account_and_policy(values: Obj) -> None:
    found = rendered(values)
    assert found["DaemonSet", AGENT]["spec"]["template"]["spec"]["serviceAccountName"] == AGENT
    assert {
        ("ServiceAccount", AGENT),
        ("NetworkPolicy", AGENT),
        ("ClusterRoleBinding", "gpunode-topology"),
    } <= found.keys()
    assert ("ValidatingAdmissionPolicy", "gpunode-topology") in found


def test_the_values_of_node_feature_discovery_become_flags() -> None:
    found = parsed(enabled(updateInterval="15s", watchNamespace="team", podSetFingerprint=False))
    assert (found["sleep_interval"], found["watch_namespace"], found["pods_fingerprint"]) == (15.0, "team", False)
    default = parsed(enabled())
    assert (default["sleep_interval"], default["watch_namespace"], default["pods_fingerprint"]) == (60.0, "*", True)


def test_the_config_file_is_a_config_map() -> None:
    values = enabled(config={"excludeList": {"*": ["memory"]}})
    assert "--config=/etc/gpunode/nfd-topology/nfd-topology-updater.conf" in container(values, AGENT)["args"]
    text = rendered(values)["ConfigMap", "nfd-lite-topology-config"]["data"]["nfd-topology-updater.conf"]
    assert text.strip() == "excludeList:\n  '*':\n  - memory"


def test_the_file_of_the_kubelet_replaces_its_endpoint_and_the_right_to_it() -> None:
    values = enabled(kubeletConfigPath="/etc/kubelet.yaml")
    uri = parsed(values)["kubelet_config_uri"]
    assert host_paths(values)[uri.removeprefix("file://")] == "/etc/kubelet.yaml"
    found = rendered(values)
    assert ("NetworkPolicy", AGENT) not in found
    resources = [rule["resources"] for rule in found["ClusterRole", "gpunode-topology"]["rules"]]
    assert ["nodes/configz"] not in resources
    assert ["nodes/configz"] in [
        rule["resources"] for rule in rendered(enabled())["ClusterRole", "gpunode-topology"]["rules"]
    ]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        (enabled(), "/var/lib/kubelet/pod-resources/kubelet.sock"),
        ({**enabled(), "kubeletRootDir": "/var/lib/k0s/kubelet"}, "/var/lib/k0s/kubelet/pod-resources/kubelet.sock"),
        (enabled(kubeletPodResourcesSockPath="/run/other/pods.sock"), "/run/other/pods.sock"),
    ],
)
def test_the_socket_is_the_one_of_the_host(values: Obj, path: str) -> None:
    socket = parsed(values)["podresources_socket"]
    assert f"{host_paths(values)[str(socket.parent)]}/{socket.name}" == path


def test_the_folder_of_the_kubelet_is_mounted_only_on_request() -> None:
    assert "/var/lib/kubelet" not in host_paths(enabled())
    found = host_paths(enabled(kubeletStateDir="/var/lib/k0s/kubelet"))
    assert found["/var/lib/kubelet"] == "/var/lib/k0s/kubelet"
    assert "/var/lib/kubelet" not in host_paths(enabled(kubeletStateDir=""))


def test_metrics_with_tokens_need_their_right() -> None:
    metrics = {"metrics": {"tlsSecret": "tls", "auth": True}}
    binding = rendered({**enabled(), **metrics})["ClusterRoleBinding", "gpunode-topology-metrics"]
    assert binding["subjects"][0]["name"] == AGENT
    assert ("ClusterRoleBinding", "gpunode-topology-metrics") not in rendered(enabled())
