"""The config files and arguments of the programs."""

import ipaddress
import json
import re
import tomllib
from base64 import b64decode
from pathlib import Path

import pytest

from tests.e2e.cluster.components import MOUNTS, Component, command_line, plan_components
from tests.e2e.cluster.configs import render_cni, render_containerd, render_kubeconfig, render_kubelet
from tests.e2e.cluster.layout import BRIDGE, BRIDGE_ADDRESS, POD_SUBNET, SERVICE_ADDRESS, SERVICE_SUBNET, Layout
from tests.e2e.cluster.network import render_rules
from tests.e2e.cluster.pki import KeyPair

LAYOUT = Layout(run_dir=Path("/run/of/mine"), binaries=Path("/cache/bin"), node_name="node-7")
COMPONENTS = plan_components(LAYOUT)
READ_ONLY = ("/usr/lib/cni", "/etc/cdi", "/var/run/cdi")


def test_a_kubeconfig_contains_its_credentials() -> None:
    config = json.loads(
        render_kubeconfig("https://127.0.0.1:1", "AUTHORITY", "me", KeyPair(certificate="CRT", key="KEY"))
    )
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    user = config["users"][0]["user"]
    decoded = [
        b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]),
        *map(b64decode, user.values()),
    ]
    assert decoded == [b"AUTHORITY", b"CRT", b"KEY"]
    assert config["current-context"] == config["contexts"][0]["name"]


def test_a_kubelet_authenticates_clients_and_starts_on_any_machine() -> None:
    config = json.loads(render_kubelet(LAYOUT))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert (config["failSwapOn"], config["failCgroupV1"], config["makeIPTablesUtilChains"]) == (False, False, False)


def test_containerd_reads_cdi_specifications_from_the_standard_folders() -> None:
    runtime = tomllib.loads(render_containerd(LAYOUT))["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["enable_cdi"] is True
    assert runtime["cdi_spec_dirs"] == ["/etc/cdi", "/var/run/cdi"]


@pytest.mark.parametrize("render", [render_kubelet, render_containerd, render_cni])
def test_config_files_contain_only_folders_in_the_run_dir(render: object) -> None:
    assert callable(render)
    for path in re.findall(r'"(?:unix://)?(/[^"]+)"', render(LAYOUT)):
        assert path.startswith("/run/of/mine/") or path in READ_ONLY


def test_arguments_contain_only_folders_in_the_run_dir() -> None:
    for component in COMPONENTS.values():
        for argument in component.command[1:]:
            value = argument.partition("=")[2]
            assert not value.startswith("/") or value.startswith("/run/of/mine/")


def test_all_programs_listen_only_on_local_addresses() -> None:
    everything = (
        " ".join(" ".join(each.command) for each in COMPONENTS.values()) + render_kubelet(LAYOUT) + render_cni(LAYOUT)
    )
    own = {"127.0.0.1", BRIDGE_ADDRESS, "10.244.0.0", "10.96.0.0", "0.0.0.0"}
    assert set(re.findall(r"\d+\.\d+\.\d+\.\d+", everything)) <= own
    assert everything.count("0.0.0.0") == 1, "the default route of pods, to the bridge"
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert "--bind-address=127.0.0.1" in COMPONENTS[name].command


def test_all_ports_are_different() -> None:
    ports = re.findall(r"(?:127\.0\.0\.1:|secure-port=)(\d+)", " ".join(COMPONENTS["etcd"].command))
    ports += [
        argument.partition("=")[2]
        for each in COMPONENTS.values()
        for argument in each.command
        if "secure-port" in argument
    ]
    kubelet = json.loads(render_kubelet(LAYOUT))
    used = {*ports, str(kubelet["port"]), str(kubelet["healthzPort"])}
    assert len(used) == 2 + 3 + 2


def test_the_kubelet_uses_the_specified_node_name() -> None:
    assert "--hostname-override=node-7" in COMPONENTS["kubelet"].command


def test_programs_start_after_their_dependencies() -> None:
    order = list(COMPONENTS)
    assert order.index(MOUNTS) < order.index("containerd") < order.index("kubelet")
    assert order.index("etcd") < order.index("kube-apiserver") < order.index("kube-controller-manager")


def test_containerd_and_the_kubelet_share_a_mount_namespace() -> None:
    sharing = {name for name, component in COMPONENTS.items() if component.in_mounts}
    assert sharing == {"containerd", "kubelet"}
    line = command_line(COMPONENTS["kubelet"], 4711)
    assert line[:3] == ("nsenter", "--mount=/proc/4711/ns/mnt", "--")
    assert line[3:] == COMPONENTS["kubelet"].command
    assert command_line(COMPONENTS["etcd"], 4711) == COMPONENTS["etcd"].command


def test_a_missing_mount_namespace_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a mount namespace"):
        command_line(Component(name="kubelet", command=("kubelet",), in_mounts=True), None)


def test_addresses_are_in_their_subnets() -> None:
    pods, services = ipaddress.ip_network(POD_SUBNET), ipaddress.ip_network(SERVICE_SUBNET)
    assert ipaddress.ip_address(BRIDGE_ADDRESS) in pods
    assert ipaddress.ip_address(SERVICE_ADDRESS) == services[1], "where Kubernetes puts its own service"
    assert not pods.overlaps(services)
    (plugin,) = json.loads(render_cni(LAYOUT))["plugins"]
    assert (plugin["bridge"], plugin["ipam"]["ranges"][0][0]["gateway"]) == (BRIDGE, BRIDGE_ADDRESS)
    assert len(BRIDGE) < 16, "the kernel's limit"


def test_the_rules_translate_the_service_address_of_the_api_server() -> None:
    rules = render_rules()
    port = LAYOUT.api_url.rpartition(":")[2]
    assert rules.count(f"ip daddr {SERVICE_ADDRESS} tcp dport 443 dnat to 127.0.0.1:{port}") == 2
    assert "hook prerouting" in rules
    assert "hook output" in rules
