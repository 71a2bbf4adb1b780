"""The DaemonSet of a pool contains what NVIDIA's image and gpu-driver-manager need."""

from typing import Any

import pytest

from device_plugin.health.startup_taint import parse_startup_taint
from gpu_operator.plan.node_facts import KERNEL, OS_ID, OS_VERSION
from gpu_operator.plan.pools import NodePool
from gpu_operator.render.daemon_set import HASH, render_daemon_set
from gpu_operator.render.pod import OperatorImages
from gpu_operator.spec import RESERVED_ENV, DriverSpec, decode_spec
from gpu_operator.view import COMPONENT, DRIVER_COMPONENT, GPU_PRESENT, OWNER
from tests.gpu_operator.clusters import IMAGES

POOL = NodePool(
    driver="d", os_id="ubuntu", os_version="22.04", architecture="amd64", kernel="5.15", version_label=OS_VERSION
)


def spec(**more: Any) -> DriverSpec:
    decoded = decode_spec({"version": "580.95.05", **more})
    assert decoded.spec is not None, decoded.problems
    return decoded.spec


def render(images: OperatorImages = IMAGES, pool: NodePool = POOL, **more: Any) -> dict[str, Any]:
    return render_daemon_set("name", "ns", spec(**more), pool, driver_uid="u", images=images)


def pod_of(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = render(**more)["spec"]["template"]["spec"]
    return found


def env(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container["env"]}


def digest(**more: Any) -> str:
    return str(env(pod_of(**more)["containers"][0])["DRIVER_CONFIG_DIGEST"])


def test_the_daemon_set_belongs_to_its_object_and_never_replaces_pods_by_itself() -> None:
    found = render()
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("NVIDIADriver", "d", "u", True)
    assert found["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_the_selector_is_part_of_the_labels_of_the_pods_and_of_the_daemon_set() -> None:
    found = render(labels={"team": "a", "app": "other"})
    labels = found["spec"]["template"]["metadata"]["labels"]
    assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (labels["app"], labels["team"], labels[COMPONENT]) == ("nvidia-driver-daemonset", "a", DRIVER_COMPONENT)
    assert labels.items() <= found["metadata"]["labels"].items()


def test_each_variable_of_a_container_is_set_once() -> None:
    """The API server refuses a list with the same name twice, and the digests of both containers must be equal."""
    own = [{"name": name, "value": "x"} for name in sorted(RESERVED_ENV)]
    found = pod_of(env=own, manager={"env": own})
    for container in (*found["initContainers"], *found["containers"]):
        names = [each["name"] for each in container["env"]]
        assert len(names) == len(set(names))
        assert env(container)["DRIVER_CONFIG_DIGEST"] == digest()


def test_the_startup_taint_of_the_device_plugin_does_not_keep_the_driver_away() -> None:
    """The plugin removes the taint only when the driver is there."""
    keys = {each["key"] for each in pod_of()["tolerations"] if each["operator"] == "Exists"}
    assert parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule").key in keys
    assert pod_of(tolerations=[])["tolerations"] == [], "the user decides"


def test_both_containers_see_the_processes_of_the_host_and_share_the_mounts_of_the_driver_with_it() -> None:
    found = pod_of()
    assert found["hostPID"] is True
    for container in (*found["initContainers"], *found["containers"]):
        (run,) = (each for each in container["volumeMounts"] if each["mountPath"] == "/run/nvidia")
        assert run["mountPropagation"] == "Bidirectional", container["name"]
        assert container["securityContext"]["privileged"] is True


def test_only_the_nodes_of_the_pool_get_the_pods() -> None:
    assert pod_of()["nodeSelector"] == {
        GPU_PRESENT: "true",
        OWNER: "d",
        OS_ID: "ubuntu",
        OS_VERSION: "22.04",
        KERNEL: "5.15",
        "kubernetes.io/arch": "amd64",
    }
    (term,) = pod_of()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert [(each["operator"], each["values"]) for each in term["matchExpressions"]] == [
        ("NotIn", ["false", "pre-installed"]),
        ("NotIn", ["false"]),
    ]
    (others,) = pod_of()["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert others["topologyKey"] == "kubernetes.io/hostname"


def test_the_driver_container_has_the_arguments_and_mounts_of_nvidias_image() -> None:
    pod = pod_of(
        args=["--accept-license"], env=[{"name": "KERNEL_MODULE_TYPE", "value": "open"}, {"name": "A"}], secretEnv="s"
    )
    (main,) = pod["containers"]
    assert (main["command"], main["args"]) == (["nvidia-driver"], ["init", "--accept-license"])
    assert (env(main)["KERNEL_MODULE_TYPE"], env(main)["A"]) == ("open", None), "the user has precedence"
    assert main["envFrom"] == [{"secretRef": {"name": "s"}}]
    mounts = {each["mountPath"]: each for each in main["volumeMounts"]}
    assert mounts["/run/nvidia"]["mountPropagation"] == "Bidirectional"
    volumes = {each["name"] for each in pod["volumes"]}
    for container in (main, *pod["initContainers"]):
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
        assert container["securityContext"]["privileged"] is True


def test_the_init_container_is_ours_unless_the_spec_names_an_image() -> None:
    (init,) = pod_of()["initContainers"]
    assert (init["image"], init["command"], init["args"]) == (
        IMAGES.manager,
        ["gpu-driver-manager"],
        ["uninstall_driver"],
    )
    assert env(init)["DRIVER_VERSION"] == "580.95.05"
    (init,) = pod_of(manager={"image": "i", "version": "1", "env": [{"name": "ENABLE_AUTO_DRAIN", "value": "true"}]})[
        "initContainers"
    ]
    assert (init["image"], env(init)["ENABLE_AUTO_DRAIN"]) == ("i:1", "true")


@pytest.mark.parametrize(
    "more", [{"version": "590"}, {"args": ["-x"]}, {"kernelModuleType": "open"}, {"certConfig": {"name": "c"}}]
)
def test_what_decides_about_the_driver_changes_its_digest(more: dict[str, Any]) -> None:
    assert digest(**more) != digest()


@pytest.mark.parametrize(
    "more", [{"startupProbe": {"failureThreshold": 9}}, {"resources": {"limits": {"cpu": "1"}}}, {"labels": {"a": "b"}}]
)
def test_what_does_not_decide_about_the_driver_changes_the_hash_but_not_the_digest(more: dict[str, Any]) -> None:
    assert digest(**more) == digest()
    assert render(**more)["metadata"]["annotations"][HASH] != render()["metadata"]["annotations"][HASH]


@pytest.mark.parametrize("more", [{"upgradePolicy": {"maxParallelUpgrades": 9}}, {"nodeSelector": {"a": "b"}}])
def test_the_upgrade_policy_and_the_selector_make_no_pod_outdated(more: dict[str, Any]) -> None:
    assert render(**more) == render()


def test_a_new_image_of_the_operator_alone_changes_no_hash() -> None:
    other = render(images=OperatorImages(manager="registry/gpunode:2", account="gpu-driver"))
    assert other["metadata"]["annotations"] == render()["metadata"]["annotations"]
    assert other["spec"] != render()["spec"]


def test_the_times_of_the_probes_are_those_of_the_spec() -> None:
    (main,) = pod_of(startupProbe={"initialDelaySeconds": 0, "periodSeconds": 5})["containers"]
    probe = main["startupProbe"]
    assert (probe["initialDelaySeconds"], probe["periodSeconds"], probe["failureThreshold"]) == (0, 5, 120)
    assert "livenessProbe" not in main
    assert "livenessProbe" in pod_of(livenessProbe={})["containers"][0]


@pytest.mark.parametrize(("os_id", "folder"), [("ubuntu", "/etc/apt/sources.list.d"), ("rhel", "/etc/yum.repos.d")])
def test_config_maps_are_mounted_where_the_system_expects_them(os_id: str, folder: str) -> None:
    pool = NodePool(driver="d", os_id=os_id, os_version="9", architecture="amd64", version_label=OS_VERSION)
    found = render(pool=pool, repoConfig={"name": "repos"})["spec"]["template"]["spec"]
    assert {"name": "repo-config", "configMap": {"name": "repos"}} in found["volumes"]
    assert {"name": "repo-config", "mountPath": folder, "readOnly": True} in found["containers"][0]["volumeMounts"]


def test_the_pods_need_the_secrets_of_both_images() -> None:
    images = OperatorImages(manager="i", account="a", pull_secrets=("own", "x"))
    pod = render(images=images, imagePullSecrets=["x", "y"])["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "x"}, {"name": "y"}, {"name": "own"}]
