"""The pods that leave a Node before its driver is unloaded."""

from typing import Any

import pytest

from gpu_core.pods.eviction import DRAIN_SKIP, DrainPod, parse_drain_pods, select_gpu_pods, select_removable

Obj = dict[str, Any]
GPU: Obj = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}


def pod(name: str, spec: Obj = GPU, *, kind: str = "ReplicaSet", status: Obj | None = None, **metadata: Any) -> Obj:
    owners = [{"kind": kind, "name": "o", "uid": "o", "controller": True}] if kind else []
    metadata = {"name": name, "namespace": "ml", "ownerReferences": owners, **metadata}
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def parse(*pods: Obj) -> tuple[DrainPod, ...]:
    return parse_drain_pods({"items": list(pods)})


def names(pods: tuple[DrainPod, ...]) -> list[str]:
    return [each.metadata.name for each in pods]


def test_only_pods_that_do_not_come_back_here_are_removed() -> None:
    ended = [pod(phase, status={"phase": phase}) for phase in ("Succeeded", "Failed")]
    mirror = pod("mirror", annotations={"kubernetes.io/config.mirror": "x"})
    pods = parse(pod("a"), pod("b", {}), pod("c", kind="DaemonSet"), pod("bare", kind=""), *ended, mirror)
    assert names(select_removable(pods)) == ["a", "b", "bare"]
    assert names(select_gpu_pods(pods, ())) == ["a", "bare"]


def test_the_label_to_skip_a_drain_does_not_protect_a_gpu() -> None:
    pods = parse(pod("a", labels={DRAIN_SKIP: "true"}), pod("b", labels={DRAIN_SKIP: "false"}))
    assert names(select_removable(pods)) == ["b"]
    assert select_gpu_pods(pods, ()) == pods


@pytest.mark.parametrize("resource", ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"])
@pytest.mark.parametrize("part", ["containers", "initContainers"])
@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_each_resource_of_nvidia_counts(resource: str, part: str, kind: str) -> None:
    with_gpu = pod("a", {part: [{"name": "x", "resources": {kind: {"cpu": 1, resource: "1"}}}]})
    without = pod("b", {part: [{"name": "x", "resources": {kind: {"cpu": 1}}}]})
    assert names(select_gpu_pods(parse(with_gpu, without), ())) == ["a"]


def test_a_pod_counts_whose_claim_has_gpus() -> None:
    pods = parse(pod("a", {}), pod("b", {}), pod("c", {}, kind="DaemonSet"))
    assert names(select_gpu_pods(pods, {"ml/a", "other/b", "ml/c"})) == ["a"]


def test_the_claims_of_a_pod_are_those_of_the_spec_of_templates_and_of_extended_resources() -> None:
    entries: list[Obj] = [
        {"name": "shared", "resourceClaimName": "shared-claim"},
        {"name": "own", "resourceClaimTemplateName": "t"},
        {"name": "same", "resourceClaimName": "shared-claim"},
        {"name": "not-created", "resourceClaimTemplateName": "t"},
        {"name": "not-needed", "resourceClaimTemplateName": "t"},
    ]
    created: list[Obj] = [{"name": "own", "resourceClaimName": "own-x7"}, {"name": "not-needed"}]
    status = {"resourceClaimStatuses": created, "extendedResourceClaimStatus": {"resourceClaimName": "extended-x8"}}
    (found,) = parse(pod("a", {"resourceClaims": entries}, status=status))
    assert found.claims == ("shared-claim", "own-x7", "extended-x8")
    assert parse(pod("b"))[0].claims == ()


def test_what_an_eviction_would_mean_to_a_pod() -> None:
    volumes: list[Obj] = [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "c"}}]
    data, other = parse(
        pod("data", {"volumes": volumes}), pod("other", {"volumes": volumes[1:]}, deletionTimestamp="t")
    )
    assert (data.has_local_data, other.has_local_data) == (True, False)
    assert (data.is_terminating, other.is_terminating) == (False, True)
    owned, bare = parse(pod("owned", ownerReferences=[{"kind": "Node", "uid": "n"}]), pod("bare", kind=""))
    assert not owned.is_managed, "an owner that is no controller creates no other pod"
    assert not bare.is_managed
    assert data.is_managed
