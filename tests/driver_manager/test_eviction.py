"""The pods that leave a node."""

from typing import Any

import pytest

from driver_manager.eviction import (
    DRAIN_SKIP,
    DrainPod,
    find_obstacles,
    parse_drain_pods,
    select_gpu_pods,
    select_removable,
)
from tests.driver_manager.places import pod


def parse(*pods: dict[str, Any]) -> tuple[DrainPod, ...]:
    return parse_drain_pods({"items": list(pods)})


def changed(name: str, **metadata: Any) -> dict[str, Any]:
    made = pod(name, gpus=1)
    made["metadata"] |= metadata
    return made


def test_only_pods_that_do_not_come_back_here_are_removed() -> None:
    finished = pod("finished", gpus=1)
    finished["status"]["phase"] = "Succeeded"
    mirror = changed("mirror", annotations={"kubernetes.io/config.mirror": "x"})
    pods = parse(pod("a", gpus=1), pod("b"), pod("c", gpus=1, kind="DaemonSet"), finished, mirror)
    assert [each.metadata.name for each in select_removable(pods)] == ["a", "b"]
    assert [each.metadata.name for each in select_gpu_pods(pods)] == ["a"]


def test_the_label_to_skip_a_drain_does_not_protect_a_gpu() -> None:
    pods = parse(changed("a", labels={DRAIN_SKIP: "true"}))
    assert select_removable(pods) == ()
    assert select_gpu_pods(pods) == pods


@pytest.mark.parametrize("resource", ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"])
@pytest.mark.parametrize("part", ["containers", "initContainers"])
def test_each_resource_of_nvidia_counts(resource: str, part: str) -> None:
    made = pod("a")
    made["spec"][part] = [{"name": "x", "resources": {"requests": {resource: "1"}}}]
    assert len(select_gpu_pods(parse(made))) == 1


def test_a_pod_with_a_claim_counts_because_the_claim_can_have_gpus() -> None:
    made = pod("a")
    made["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    assert len(select_gpu_pods(parse(made))) == 1


def test_obstacles_name_the_pods_and_the_setting() -> None:
    local = pod("local")
    local["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c"}}]
    pods = parse(pod("lonely", kind=""), local, pod("other"))
    lonely, data = find_obstacles(pods, force=False, deletes_local_data=False)
    assert "ml/lonely (set DRAIN_USE_FORCE=true" in lonely
    assert "ml/local would be lost (set DRAIN_DELETE_EMPTYDIR_DATA=true)" in data
    assert find_obstacles(pods, force=True, deletes_local_data=True) == ()
