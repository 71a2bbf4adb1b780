"""The manifests fit the programs: flags parse, probes and ports meet the health server, accounts and mounts exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from device_plugin.__main__ import command as plugin
from gfd.__main__ import command as gfd
from nfd_lite.__main__ import command as nfd
from node_core.runtime.command import parse_command

ROOT = Path(__file__).parent.parent / "manifests"
COMMANDS: dict[str, click.Command] = {"nfd-lite": nfd, "gfd": gfd, "gpu-device-plugin": plugin}


def objects(folder: Path = ROOT) -> Iterator[dict[str, Any]]:
    """All objects that `kubectl apply -k` would send, by following kustomization files."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for resource in kustomization["resources"]:
        path = folder / resource
        yield from objects(path) if path.is_dir() else yaml.safe_load_all(path.read_text())


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


@pytest.fixture(params=sorted(COMMANDS))
def daemon_set(request: pytest.FixtureRequest) -> dict[str, Any]:
    return of_kind("DaemonSet")[request.param]


def container(daemon_set: dict[str, Any]) -> dict[str, Any]:
    (only,) = daemon_set["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def test_every_agent_has_a_daemon_set_and_an_account_of_its_own() -> None:
    assert of_kind("DaemonSet").keys() == of_kind("ServiceAccount").keys() == COMMANDS.keys()
    for name, daemon_set in of_kind("DaemonSet").items():
        assert daemon_set["spec"]["template"]["spec"]["serviceAccountName"] == name


def test_command_and_arguments_are_ones_that_the_program_takes(daemon_set: dict[str, Any]) -> None:
    (program,) = container(daemon_set)["command"]
    values = parse_command(COMMANDS[program], container(daemon_set)["args"], program)
    assert values is not None
    (port,) = container(daemon_set)["ports"]
    assert values["http_address"] == f":{port['containerPort']}"


def test_the_node_name_comes_from_the_pod_and_probes_ask_the_health_server(daemon_set: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in container(daemon_set)["env"]}
    assert variables["NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    reads_nvml = daemon_set["metadata"]["name"] != "nfd-lite"
    assert ("NVIDIA_VISIBLE_DEVICES" in variables) == reads_nvml
    assert container(daemon_set)["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container(daemon_set)["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_mount_has_its_volume_and_only_what_must_be_is_writable(daemon_set: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in daemon_set["spec"]["template"]["spec"]["volumes"]}
    mounts = container(daemon_set)["volumeMounts"]
    assert volumes == {mount["name"] for mount in mounts}
    writable = {mount["name"] for mount in mounts if not mount.get("readOnly")}
    assert writable <= {"lock", "device-plugins", "cdi"}


def test_no_agent_is_privileged(daemon_set: dict[str, Any]) -> None:
    context = container(daemon_set)["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert "privileged" not in context
