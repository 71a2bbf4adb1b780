"""Who has which device, from what the kubelet lists."""

import pytest

from gpu_core.pods.cgroups import PodCgroup
from gpu_core.pods.holders import Holder, Holders, PodIdentity, select_holders
from node_core.kubelet.podresources import ClaimedDevice, ContainerDevices, PodDevices
from tests.gpu_core.pods.nodes import gpu, holder, mig, pod, uuid

GPUS = (gpu(0), gpu(1, mig(7, 9), mig(8, 9, "1c.2g.20gb", compute_instance=1)))
A, B = f"GPU-{uuid(0)}", f"GPU-{uuid(1)}"
UID = "6f0d5dd2-7d4b-4b1e-8a7c-1f7d0e3a9c11"
OTHER = "11111111-7d4b-4b1e-8a7c-1f7d0e3a9c11"


def test_a_pod_holds_a_whole_gpu_alone() -> None:
    holders = select_holders([pod("a", A), pod("idle", sidecar=True)], GPUS)
    assert holders.of_device(A) == (holder("a"),)
    assert holders.exclusive_holder(A) == holder("a")
    assert holders.of_device(B) == holders.of_device(A, 0) == ()
    assert holders.exclusive_holder(B) is None


def test_replicas_are_held_by_all_their_pods_each_once() -> None:
    holders = select_holders([pod("b", f"{A}::1", f"{A}::2"), pod("a", f"{A}::0")], GPUS)
    assert holders.of_device(A) == (holder("a"), holder("b"))
    assert holders.exclusive_holder(A) is None


def test_two_compute_instances_of_a_gpu_instance_are_one_device() -> None:
    holders = select_holders([pod("a", f"MIG-{uuid(7)}"), pod("b", f"MIG-{uuid(8)}")], GPUS)
    assert holders.of_device(B, 9) == (holder("a"), holder("b"))
    assert holders.of_device(B) == ()


def test_two_containers_of_a_pod_hold_the_device_alone_without_a_container() -> None:
    containers = (
        ContainerDevices(name="x", devices=frozenset({A})),
        ContainerDevices(name="y", devices=frozenset({A})),
    )
    holders = select_holders([PodDevices(namespace="team", name="a", containers=containers)], GPUS)
    assert holders.exclusive_holder(A) == holder("a", "")


def test_pods_of_one_name_in_two_namespaces_are_two_pods() -> None:
    other = PodDevices(namespace="else", name="a", containers=pod("a", f"{A}::1").containers)
    holders = select_holders([pod("a", f"{A}::0"), other], GPUS)
    assert [each.namespace for each in holders.of_device(A)] == ["else", "team"]
    assert holders.exclusive_holder(A) is None


def test_claims_and_plugins_name_the_same_device() -> None:
    claimed = ClaimedDevice(driver="gpu.nvidia.com", device="gpu-4")
    holders = select_holders([pod("a", claimed=(claimed,)), pod("b", "nvidia4/vgpu0")], GPUS)
    assert holders.of_device(A) == (holder("a"), holder("b"))


def test_a_claim_has_a_device_alone_also_if_pods_share_the_claim() -> None:
    one = ClaimedDevice(claim="one", namespace="team", driver="gpu.nvidia.com", device="gpu-4")
    other = ClaimedDevice(claim="other", namespace="team", driver="gpu.nvidia.com", device="gpu-4")
    shared = select_holders([pod("a", claimed=(one,)), pod("b", claimed=(one,))], GPUS)
    assert (shared.exclusive_claim(A), shared.exclusive_claim(B)) == (one, None)
    assert select_holders([pod("a", claimed=(one, other))], GPUS).exclusive_claim(A) is None
    assert select_holders([pod("a", A)], GPUS).exclusive_claim(A) is None


def test_a_device_that_nvml_does_not_list_has_no_holder() -> None:
    assert select_holders([pod("a", A)], ()) == select_holders([pod("a", "eth0", "GPU-x")], GPUS)


def test_identities_add_uid_and_labels() -> None:
    identity = PodIdentity(uid=UID, namespace="team", name="a", labels={"app": "x"})
    holders = select_holders([pod("a", A), pod("b", B)], GPUS, [identity])
    assert holders.of_device(A) == (
        Holder(pod="a", namespace="team", container="main", pod_uid=UID, labels={"app": "x"}),
    )
    assert holders.of_device(B) == (holder("b"),)


@pytest.mark.parametrize(("sidecar", "container"), [(False, "main"), (True, "")])
def test_a_process_is_of_the_only_container_of_its_pod(sidecar: bool, container: str) -> None:
    identity = PodIdentity(uid=UID, namespace="team", name="a")
    holders = select_holders([pod("a", A, sidecar=sidecar)], GPUS, [identity])
    assert holders.of_process((PodCgroup(UID, "0" * 64),)) == Holder(
        pod="a", namespace="team", container=container, pod_uid=UID
    )


def test_the_id_of_a_container_names_it_and_an_unknown_one_names_none() -> None:
    identity = PodIdentity(uid=UID, namespace="team", name="a", containers={"0" * 64: "worker"})
    holders = select_holders([pod("a", A)], GPUS, [identity])
    found = [holders.of_process((PodCgroup(UID, digit * 64),)) for digit in "01"]
    assert [each.container for each in found if each] == ["worker", ""]


def test_a_process_in_no_pod_has_no_holder_and_an_unknown_pod_has_its_uid() -> None:
    assert Holders().of_process(()) is None
    assert Holders().of_process((PodCgroup(OTHER),)) == Holder(pod="", namespace="", container="", pod_uid=OTHER)


def test_of_nested_pods_the_first_known_one_counts() -> None:
    holders = select_holders([pod("a", A)], GPUS, [PodIdentity(uid=UID, namespace="team", name="a")])
    for nested in [(OTHER, UID), (UID, OTHER)]:
        found = holders.of_process(tuple(map(PodCgroup, nested)))
        assert found is not None
        assert found.pod == "a"
