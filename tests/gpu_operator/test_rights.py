"""The rights of gpu-operator and of driver pods, and the requests that the controller sends."""

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OBJECTS = list(yaml.safe_load_all((MANIFESTS / "overlays" / "gpu-operator" / "gpu-operator.yaml").read_text()))


def rights(kind: str, name: str) -> dict[tuple[str, str], set[str]]:
    (role,) = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_controller_writes_daemon_sets_and_deletes_pods_only_in_its_namespace() -> None:
    everywhere = rights("ClusterRole", "gpunode-operator")
    assert {group for group, _ in everywhere} == {"", "nvidia.com", "resource.k8s.io"}
    assert everywhere["resource.k8s.io", "resourceclaims"] == {"get"}
    assert everywhere["", "pods"] == {"list"}
    own = rights("Role", "gpunode-operator")
    assert own["apps", "daemonsets"] >= {"create", "patch", "delete"}
    assert "delete" in own["", "pods"]


def test_the_controller_has_no_privileges_and_no_files_of_its_node() -> None:
    (deployment,) = [each for each in OBJECTS if each["kind"] == "Deployment"]
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    assert "volumes" not in pod
    assert "hostPID" not in pod
    assert pod["containers"][0]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("file", sorted(MANIFESTS.rglob("*.yaml")), ids=lambda file: str(file.relative_to(MANIFESTS)))
def test_no_role_may_write_nvidia_drivers(file: Path) -> None:
    """Their authors choose an image that runs as root on nodes."""
    if "chart" in file.parts:
        return
    for each in yaml.safe_load_all(file.read_text()):
        for rule in (each or {}).get("rules") or ():
            if "nvidia.com" in rule.get("apiGroups", ()) and "nvidiadrivers" in rule["resources"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}
