"""The chart values, the policy, the classes and the examples of Dynamic Resource Allocation."""

import functools
from typing import Any

import pytest
import yaml

from tests.e2e.cluster.errors import ClusterError
from tests.e2e.examples import EXAMPLES
from tests.manifests.helm import MANIFESTS, Obj, load, named, template

ON = ("--set=dra.enabled=true", "--set=devicePlugin.enabled=false")
FOLDER = EXAMPLES / "dra"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


@functools.cache
def overlay() -> dict[tuple[str, str], Obj]:
    return named(yaml.safe_load_all((MANIFESTS / "overlays" / "dra" / "gpu-dra-driver.yaml").read_text()))


def rendered(*options: str) -> dict[tuple[str, str], Obj]:
    return named(load(template(*ON, *options)))


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize(
    "options",
    [
        ("--set=dra.enabled=true",),
        ("--set=dra.enabled=true", "--set=dra.nodeSelector.dra=yes"),
        ("--set=dra.enabled=true", "--set=dra.nodeSelector.a=b", "--set=devicePlugin.nodeSelector.a=b"),
        (*ON, "--set=singleProcess.enabled=true"),
        (*ON, "--kube-version=1.31.0"),
    ],
    ids=["both", "one selects", "both select the same", "single process", "old"],
)
def test_two_agents_that_would_hand_out_the_same_gpus_are_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(ClusterError, match=r"dra\.enabled"):
        template(*options)


@pytest.mark.usefixtures("helm_binary")
def test_the_gpus_of_a_cluster_can_be_divided_by_node() -> None:
    options = ("--set=dra.nodeSelector.gpus=dra", "--set=devicePlugin.nodeSelector.gpus=plugin")
    objects = named(load(template("--set=dra.enabled=true", *options)))
    for agent, value in (("gpu-dra-driver", "dra"), ("gpu-device-plugin", "plugin")):
        assert objects["DaemonSet", agent]["spec"]["template"]["spec"]["nodeSelector"] == {"gpus": value}


@pytest.mark.usefixtures("helm_binary")
def test_the_mig_instances_of_a_node_belong_to_one_agent() -> None:
    both = (*ON, "--set=dra.dynamicMIG=true", "--set=migManager.enabled=true")
    with pytest.raises(ClusterError, match=r"dra\.dynamicMIG: mig-manager would destroy"):
        template(*both)
    template(*both, "--set=dra.nodeSelector.gpus=dra", "--set=migManager.nodeSelector.gpus=plugin")
    template(*ON, "--set=migManager.enabled=true")


@pytest.mark.usefixtures("helm_binary")
def test_the_driver_is_off_by_default() -> None:
    assert not {("DaemonSet", "gpu-dra-driver"), ("DeviceClass", "gpu.nvidia.com")} & named(load(template())).keys()


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_only_mig_on_demand_needs_a_privileged_pod(is_dynamic: bool) -> None:
    pod = rendered(f"--set=dra.dynamicMIG={str(is_dynamic).lower()}")["DaemonSet", "gpu-dra-driver"]["spec"][
        "template"
    ]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"].get("privileged", False) is is_dynamic
    assert ("--dra-dynamic-mig=true" in container["args"]) is is_dynamic


@pytest.mark.usefixtures("helm_binary")
def test_the_folders_of_the_kubelet_have_the_same_path_in_the_pod() -> None:
    pod = rendered("--set=kubeletRootDir=/data/kubelet")["DaemonSet", "gpu-dra-driver"]["spec"]["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    for name in ("dra-plugin", "dra-registry"):
        (volume,) = (each for each in pod["volumes"] if each["name"] == name)
        assert volume["hostPath"]["path"] == mounts[name]
        assert mounts[name].startswith("/data/kubelet/plugins")
    assert "--kubelet-root=/data/kubelet" in pod["containers"][0]["args"]


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize(
    ("cluster", "version"), [("1.36.0", "v1"), ("1.34.0", "v1"), ("1.33.0", "v1beta1"), ("1.32.0", "v1beta1")]
)
def test_the_classes_have_a_version_that_the_cluster_serves(cluster: str, version: str) -> None:
    objects = rendered(f"--kube-version={cluster}")
    assert {obj["apiVersion"] for (kind, _), obj in objects.items() if kind == "DeviceClass"} == {
        f"resource.k8s.io/{version}"
    }


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"maxUnavailable": "10%"}),
        (("--set=dra.rollingUpdate=true",), {"maxSurge": "10%", "maxUnavailable": 0}),
        (("--set=dra.rollingUpdate=true", "--set=updateStrategy=null"), {"maxSurge": 1, "maxUnavailable": 0}),
        (('--set-json=updateStrategy.rollingUpdate={"maxSurge": 2, "maxUnavailable": 0}',), {"maxUnavailable": 2}),
    ],
    ids=["default", "on", "no strategy", "a surge for all agents"],
)
def test_two_pods_of_a_node_overlap_only_on_request(options: tuple[str, ...], expected: dict[str, Any]) -> None:
    spec = rendered(*options)["DaemonSet", "gpu-dra-driver"]["spec"]
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": expected}
    names = {each["name"] for each in spec["template"]["spec"]["containers"][0]["env"]}
    assert ("POD_UID" in names) is ("maxSurge" in expected)


@pytest.mark.usefixtures("helm_binary")
def test_the_class_of_gpus_serves_an_extended_resource_on_request() -> None:
    objects = rendered("--set=dra.extendedResource=nvidia.com/gpu")
    assert objects["DeviceClass", "gpu.nvidia.com"]["spec"]["extendedResourceName"] == "nvidia.com/gpu"
    assert "extendedResourceName" not in objects["DeviceClass", "mig.nvidia.com"]["spec"]
    assert not any(kind == "DeviceClass" for kind, _ in rendered("--set=dra.deviceClasses=false"))


def test_each_class_selects_one_type() -> None:
    for name, kind in (("gpu.nvidia.com", "gpu"), ("mig.nvidia.com", "mig")):
        (selector,) = overlay()["DeviceClass", name]["spec"]["selectors"]
        assert selector["cel"]["expression"].endswith(f".type == '{kind}'")


def test_the_role_permits_what_the_driver_does_and_nothing_else() -> None:
    rules = {tuple(rule["resources"]): set(rule["verbs"]) for rule in overlay()["ClusterRole", "gpunode-dra"]["rules"]}
    assert rules == {
        ("nodes",): {"get", "list", "watch"},
        ("resourceslices",): {"list", "watch", "create", "update", "delete"},
        ("resourceclaims",): {"get", "list"},
    }


def test_the_policy_covers_every_write_of_the_driver() -> None:
    spec = overlay()["ValidatingAdmissionPolicy", "gpunode-resource-slices"]["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["apiVersions"], set(rule["operations"])) == (["*"], {"CREATE", "UPDATE", "DELETE"})
    assert overlay()["ValidatingAdmissionPolicyBinding", "gpunode-resource-slices"]["spec"]["validationActions"] == [
        "Deny"
    ]


@functools.cache
def objects_of(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / file).read_text()))


@pytest.mark.parametrize("file", FILES)
def test_each_pod_of_an_example_uses_its_claim(file: str) -> None:
    claims = {obj["metadata"]["name"] for obj in objects_of(file) if obj["kind"].startswith("ResourceClaim")}
    pods = [obj for obj in objects_of(file) if obj["kind"] == "Pod"]
    assert pods
    for pod in pods:
        used = {name for claim in pod["spec"].get("resourceClaims", ()) for key, name in claim.items() if key != "name"}
        assert used == claims
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources == ({"claims": [{"name": "gpu"}]} if claims else {"limits": {"nvidia.com/gpu": 1}})


def test_the_readme_names_each_example_and_each_pod() -> None:
    text = (FOLDER / "README.md").read_text()
    for file in FILES:
        assert text.count(file) >= 2
        assert all(
            f"`{obj['metadata']['name']}" in text or f"\n{obj['metadata']['name']} " in text
            for obj in objects_of(file)
            if obj["kind"] == "Pod"
        )
    assert "(dra/README.md)" in (EXAMPLES / "README.md").read_text()
