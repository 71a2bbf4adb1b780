"""The series about pods."""

from collections.abc import Iterable

from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holder, Holders, PodIdentity, select_holders
from gpu_exporter.families import POD_INFO, POD_MEMORY, POD_SM
from gpu_exporter.pods.series import pod_samples
from gpu_exporter.pods.usage import PodUsage
from node_core.values import replace
from tests.gpu_core.pods.nodes import gpu, mig, pod, uuid

A, B = f"GPU-{uuid(0)}", f"GPU-{uuid(1)}"
DEVICES = {DeviceKey(A, None): 'gpu="0"', DeviceKey(B, 9): 'gpu="1",GPU_I_ID="9"'}
HOLDERS = select_holders(
    [pod("a", f"{A}::0"), pod("b", f"{A}::1"), pod("c", f"MIG-{uuid(7)}")],
    [gpu(0), gpu(1, mig(7, 9))],
    [PodIdentity(uid="uid-a", namespace="team", name="a", labels={"app": "x"})],
)
USAGE = PodUsage(
    holder=Holder(pod="a", namespace="team", container="main", pod_uid="uid-a", labels={"app": "x"}),
    gpu=A,
    gpu_instance=None,
    memory_bytes=7,
    sm_ratio=0.25,
)


def select(holders: Holders, usages: Iterable[PodUsage]) -> list[tuple[str, str, float]]:
    """Name, labels and value of each sample."""
    families = pod_samples(holders, usages, DEVICES)
    return [(family.name, text, value) for family, samples in families for text, value in samples]


def test_each_holder_of_a_device_has_an_info_series_with_its_labels() -> None:
    assert select(HOLDERS, ()) == [
        (POD_INFO.name, 'gpu="0",pod="a",namespace="team",container="main",pod_uid="uid-a",app="x"', 1),
        (POD_INFO.name, 'gpu="0",pod="b",namespace="team",container="main",pod_uid=""', 1),
        (POD_INFO.name, 'gpu="1",GPU_I_ID="9",pod="c",namespace="team",container="main",pod_uid=""', 1),
    ]


def test_the_use_of_a_device_has_the_labels_of_device_and_pod() -> None:
    labels = 'gpu="0",pod="a",namespace="team",container="main",pod_uid="uid-a"'
    assert select(Holders(), [USAGE]) == [(POD_MEMORY.name, labels, 7), (POD_SM.name, labels, 0.25)]


def test_a_value_that_is_not_known_has_no_series() -> None:
    usages = [replace(USAGE, memory_bytes=None), replace(USAGE, sm_ratio=None, gpu=B, gpu_instance=9)]
    assert [name for name, *_ in select(Holders(), usages)] == [POD_MEMORY.name, POD_SM.name]


def test_a_device_without_labels_has_no_series() -> None:
    assert select(Holders(), [replace(USAGE, gpu="GPU-x")]) == []


def test_pods_without_names_are_separated_by_their_uids() -> None:
    usages = [replace(USAGE, holder=Holder(pod="", namespace="", container="", pod_uid=uid)) for uid in ("x", "y")]
    found = select(Holders(), usages)
    assert len({(name, text) for name, text, _ in found}) == len(found)
