"""What the metrics of the agents state."""

import pytest

from gpunode.cluster.metrics import parse_samples
from gpunode.doctor.metrics import check_metrics, check_samples
from gpunode.doctor.objects import DaemonSet
from gpunode.doctor.programs import Program
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.runtime.metrics import (
    COLLECTOR_FAILED,
    GPU_HEALTH,
    LABELS_REFUSED,
    NOT_READY,
    NVML_RELEASED,
    RULE_PROBLEMS,
    XIDS,
    Metrics,
)
from node_core.scheduling.objects import Metadata

API = ApiClient(kubeconfig=None, user_agent="t")
PROGRAMS = tuple(
    Program(
        key=f"ns/{name}", roles=(name,), has_agents=True, port=port, daemon_set=DaemonSet(metadata=Metadata(name=name))
    )
    for name, port in (("gfd", "8081"), ("nfd-lite", "8080"), ("portless", ""))
)
PODS = {each.key: f"{each.roles[0]}-x" for each in PROGRAMS}


def sentences(text: str) -> list[tuple[str, str]]:
    return [(each.status, each.sentence) for each in check_samples(parse_samples(text), "gfd")]


def test_the_metrics_that_the_agents_serve_are_understood() -> None:
    served = Metrics()
    served.set(NOT_READY, 1, check="gfd/gpus")
    served.set(NOT_READY, 0, check="gfd/node")
    served.set(COLLECTOR_FAILED, 1, agent="gfd", collector="fabric")
    served.set(GPU_HEALTH, 1, agent="gpu-device-plugin", gpu="GPU-1", gpu_instance="", phase="unhealthy")
    served.set(GPU_HEALTH, 1, agent="gpu-device-plugin", gpu="GPU-2", gpu_instance="", phase="healthy")
    served.add(XIDS, 3, agent="gpu-device-plugin", gpu="GPU-1", xid="79", kind="reboot")
    served.set(NVML_RELEASED, 1, agent="gfd")
    served.set(LABELS_REFUSED, 2, agent="nfd-lite")
    served.set(RULE_PROBLEMS, 1, agent="nfd-lite", rules="set")
    assert sorted(sentences(served.render().decode())) == [
        ("note", "1 rules or outputs of set have a problem: see its Events"),
        ("note", "GPU-1 had Xid 79 (reboot), 3 times since gpu-device-plugin started"),
        ("note", "GPU-1 is unhealthy"),
        ("note", "gfd has released NVML, because of a release request on the node"),
        ("note", "nfd-lite does not publish 2 labels that Kubernetes would refuse"),
        ("problem", "fabric of gfd fails, and its labels stay as they were"),
        ("problem", "the check gfd/gpus of /readyz fails"),
    ]


def test_metrics_without_a_fault_are_ok() -> None:
    assert sentences(Metrics().render().decode()) == [("ok", "the metrics of gfd state no problem")]
    assert sentences('gpunode_not_ready{} NaN\nother{a="b"} 1\n') == [("ok", "the metrics of gfd state no problem")]


def test_a_label_that_is_missing_is_a_question_mark() -> None:
    assert sentences("gpunode_not_ready 1\n") == [("problem", "the check ? of /readyz fails")]


@pytest.mark.parametrize(
    ("error", "notes"),
    [
        (
            KubeError("no", status=403),
            ["the metrics of the agents are not read: you are not permitted to get pods/proxy"],
        ),
        (
            KubeError("gone", status=503),
            ["the metrics of gfd cannot be read: gone", "the metrics of nfd-lite cannot be read: gone"],
        ),
    ],
)
def test_metrics_that_cannot_be_read_are_notes(
    error: KubeError, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("gpunode.cluster.metrics.read_pod_metrics", fail)
    found = list(check_metrics(API, PODS, PROGRAMS))
    assert [each.sentence for each in found] == notes
    assert {each.status for each in found} == {"note"}


def test_an_answer_that_has_no_metrics_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpunode.cluster.metrics.read_pod_metrics", lambda *_, **__: "<html>{")
    (found, *_) = check_metrics(API, PODS, PROGRAMS)
    assert (found.status, found.sentence.partition(":")[0]) == ("note", "the metrics of gfd cannot be parsed")
