"""The series about pods."""

from dataclasses import replace

from gpu_core.pods.device_names import DeviceKey
from gpu_core.pods.holders import Holder, PodIdentity, select_holders
from gpu_exporter.pods.series import INFO, MEMORY, SM, pod_samples
from gpu_exporter.pods.usage import PodUsage
from tests.gpu_core.pods.nodes import gpu, mig, pod, uuid

A, B = f"GPU-{uuid(0)}", f"GPU-{uuid(1)}"
DEVICES = {
    DeviceKey(A, None): (("gpu", "0"), ("UUID", A)),
    DeviceKey(B, 9): (("gpu", "1"), ("UUID", B), ("GPU_I_ID", "9")),
}
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


def test_each_holder_of_a_device_has_an_info_series_with_its_labels() -> None:
    found = pod_samples(HOLDERS, (), DEVICES)
    assert {(sample.family, sample.value) for sample in found} == {(INFO, 1)}
    assert [sample.labels for sample in found] == [
        (
            ("gpu", "0"), ("UUID", A),
            ("pod", "a"), ("namespace", "team"), ("container", "main"), ("pod_uid", "uid-a"), ("app", "x"),
        ),
        (("gpu", "0"), ("UUID", A), ("pod", "b"), ("namespace", "team"), ("container", "main"), ("pod_uid", "")),
        (
            ("gpu", "1"), ("UUID", B), ("GPU_I_ID", "9"),
            ("pod", "c"), ("namespace", "team"), ("container", "main"), ("pod_uid", ""),
        ),
    ]  # fmt: skip


def test_the_use_of_a_device_has_the_labels_of_device_and_pod() -> None:
    found = [sample for sample in pod_samples(HOLDERS, [USAGE], DEVICES) if sample.family is not INFO]
    labels = (
        ("gpu", "0"),
        ("UUID", A),
        ("pod", "a"),
        ("namespace", "team"),
        ("container", "main"),
        ("pod_uid", "uid-a"),
    )
    assert [(sample.family, sample.labels, sample.value) for sample in found] == [
        (MEMORY, labels, 7),
        (SM, labels, 0.25),
    ]


def test_a_value_that_is_not_known_has_no_series() -> None:
    usages = [replace(USAGE, memory_bytes=None), replace(USAGE, sm_ratio=None, gpu=B, gpu_instance=9)]
    found = [sample.family for sample in pod_samples(HOLDERS, usages, DEVICES) if sample.family is not INFO]
    assert found == [MEMORY, SM]


def test_a_device_without_labels_has_no_series() -> None:
    assert pod_samples(HOLDERS, [USAGE], {}) == ()


def test_pods_without_names_are_separated_by_their_uids() -> None:
    usages = [replace(USAGE, holder=Holder(pod="", namespace="", container="", pod_uid=uid)) for uid in ("x", "y")]
    found = pod_samples(HOLDERS, usages, DEVICES)
    assert len({(sample.family, sample.labels) for sample in found}) == len(found)
