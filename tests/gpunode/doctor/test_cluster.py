"""Doctor compares the Node with what the plugin advertises."""

from typing import Any

import msgspec
import pytest

from device_plugin.devices import Device, DeviceId, Plan, ResourceOffer
from device_plugin.gate import Gate
from device_plugin.health.startup_taint import parse_startup_taint
from device_plugin.settings import PluginSettings
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from gpunode.doctor import cluster
from gpunode.doctor.check import Check
from gpunode.doctor.cluster import ClusterState, check_node
from gpunode.doctor.node_checks import expects_gpus
from node_core.errors import KubeError
from node_core.scheduling.objects import Condition, Metadata, Node, NodeSpec, NodeStatus, Taint

SINCE = "2026-01-01T00:00:00Z"
READY = Condition(
    type="GPUReady", status="True", reason="GPUsReady", message="2 of 2 GPUs are available.", last_transition_time=SINCE
)
NOON = 1767268800.0
"""2026-01-01T12:00:00Z."""


def view(
    *,
    labels: dict[str, str] | None = None,
    conditions: tuple[Condition, ...] = (READY,),
    taints: tuple[Taint, ...] = (),
    **status: Any,
) -> Node:
    return Node(
        metadata=Metadata(name="n1", labels={"nvidia.com/gpu.present": "true"} if labels is None else labels),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(conditions=conditions, **status),
    )


def plan(healthy: int = 2, unhealthy: int = 0) -> Plan:
    reasons = (*([None] * healthy), *(["lost"] * unhealthy))
    devices = [
        Device(id=DeviceId(f"GPU-{n}"), uuid=f"GPU-{n}", index=str(n), gpu=GpuUuid(f"GPU-{n}"), why_unhealthy=why)
        for n, why in enumerate(reasons)
    ]
    return Plan(resources={GPU: ResourceOffer(devices=tuple(devices))})


def checks(
    node: Node,
    amount: str | None = "2",
    *,
    planned: Plan | None = None,
    is_agent: bool = True,
    is_running: bool = True,
    **settings: Any,
) -> dict[str, Check]:
    allocatable: dict[str, str | int | float] = {} if amount is None else {GPU: amount}
    state = ClusterState(
        node=msgspec.structs.replace(node, status=msgspec.structs.replace(node.status, allocatable=allocatable))
    )
    found = check_node(
        state, PluginSettings(**settings), planned or plan(), NOON, is_agent=is_agent, is_running=is_running
    )
    return {each.name: each for each in found}


def test_a_node_with_all_gpus_is_ok() -> None:
    found = checks(view())
    assert {name: each.status for name, each in found.items()} == {"label": "ok", "resources": "ok", "condition": "ok"}
    assert found["condition"].sentence == "GPUReady is True since 12 h: GPUsReady: 2 of 2 GPUs are available"


@pytest.mark.parametrize("labels", [{}, {"nvidia.com/gpu.present": "false"}])
def test_a_closed_gate_is_the_only_problem(labels: dict[str, str]) -> None:
    found = checks(view(labels=labels, conditions=()), None)
    assert list(found) == ["label"]
    assert (found["label"].status, found["label"].reason) == ("problem", "NodeNotLabelled")
    assert found["label"].sentence.startswith("the Node n1 does not have the label nvidia.com/gpu.present=true")


def test_without_a_gate_no_label_is_needed() -> None:
    assert checks(view(labels={}), gate=Gate(key="", value=""))["label"].status == "ok"
    assert checks(view(labels={"a": "b"}), gate=Gate(key="a", value="b"))["label"].status == "ok"


@pytest.mark.parametrize("amount", [None, "0"])
@pytest.mark.parametrize("is_agent", [True, False])
def test_healthy_devices_that_are_not_allocatable_are_a_problem(amount: str | None, is_agent: bool) -> None:
    found = checks(view(), amount, is_agent=is_agent)["resources"]
    assert (found.status, found.reason, found.sentence) == (
        "problem",
        "NotAdvertisedByKubelet",
        "the Node has 0 allocatable nvidia.com/gpu, and 2 devices are healthy",
    )


@pytest.mark.parametrize("amount", ["1", "3"])
def test_another_amount_is_a_problem_if_the_settings_are_those_of_the_plugin(amount: str) -> None:
    assert checks(view(), amount)["resources"].status == "problem"
    assert checks(view(), amount, is_agent=False)["resources"].status == "note"


def test_a_thousand_devices_are_allocatable_as_kubernetes_writes_them() -> None:
    assert checks(view(), "1k", planned=plan(1000))["resources"].status == "ok"


def test_unhealthy_devices_are_not_allocatable() -> None:
    assert checks(view(), "1", planned=plan(1, 1))["resources"].status == "ok"
    assert checks(view(), None, planned=plan(0, 1))["resources"].status == "ok"


def test_a_missing_condition_is_a_problem() -> None:
    assert checks(view(conditions=()))["condition"].sentence == "the Node has no condition GPUReady"


@pytest.mark.parametrize("reason", ["NoDriver", "SomethingNew"])
def test_a_condition_that_is_false_is_a_problem_with_its_reason_and_age(reason: str) -> None:
    observed = Condition(
        type="GPUReady", status="False", reason=reason, message="Why.", last_transition_time="2026-01-01T11:59:00Z"
    )
    found = checks(view(conditions=(observed,)))["condition"]
    assert (found.status, found.reason) == ("problem", reason)
    assert found.sentence == f"GPUReady is False since 1 min: {reason}: Why"
    assert found.todo


def test_the_advice_at_the_end_of_the_message_is_what_to_do_and_not_evidence() -> None:
    message = "MPS does not run. See the log of gpu-device-plugin, or choose another --device-list-strategy."
    observed = Condition(
        type="GPUReady", status="False", reason="CDISpecMissing", message=message, last_transition_time=SINCE
    )
    found = checks(view(conditions=(observed,)))["condition"]
    assert found.sentence == "GPUReady is False since 12 h: CDISpecMissing: MPS does not run"
    assert found.todo == "see the log of gpu-device-plugin, or choose another --device-list-strategy"


def test_the_condition_of_an_agent_that_ended_is_a_note() -> None:
    assert checks(view(), is_running=False)["condition"].status == "note"


@pytest.mark.parametrize(
    ("since", "age"),
    [
        ("", "an unknown time"),
        ("2026-01-01T12:00:00Z", "0 s"),
        ("2026-01-01T11:00:00.5", "59 min"),
        ("x", "an unknown time"),
        ("2027-01-01T00:00:00Z", "0 s"),
    ],
)
def test_the_age_of_the_condition(since: str, age: str) -> None:
    observed = Condition(type="GPUReady", status="True", reason="GPUsReady", message="m", last_transition_time=since)
    assert f"since {age}:" in checks(view(conditions=(observed,)))["condition"].sentence


def test_some_unhealthy_gpus_are_a_problem_although_the_condition_is_true() -> None:
    some = Condition(type="GPUReady", status="True", reason="SomeGPUsUnhealthy", message="m")
    assert checks(view(conditions=(some,)))["condition"].status == "problem"


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("Ready", "True", ("ok", None)),
        ("Ready", "False", ("problem", "NodeNotReady")),
        ("Ready", "Unknown", ("problem", "NodeNotReady")),
        ("DiskPressure", "True", ("problem", "DiskPressure")),
        ("DiskPressure", "False", None),
        ("SomethingElse", "True", None),
    ],
)
def test_the_conditions_of_kubernetes(kind: str, status: str, found: tuple[str, str | None] | None) -> None:
    given = checks(view(conditions=(READY, Condition(type=kind, status=status, reason="Why", message="m"))))
    check = given.get("kubelet condition")
    assert (None if check is None else (check.status, check.reason)) == found


@pytest.mark.parametrize(
    ("key", "effect", "status", "reason"),
    [
        ("nvidia.com/gpu-not-ready", "NoSchedule", "problem", "StartupTaint"),
        ("node.kubernetes.io/unschedulable", "NoSchedule", "problem", "Cordoned"),
        ("node.kubernetes.io/unreachable", "NoExecute", "problem", "NodeNotReady"),
        ("node.kubernetes.io/new", "NoExecute", "problem", None),
        ("nvidia.com/gpu.premium", "NoSchedule", "note", None),
        ("nvidia.com/gpu.premium", "PreferNoSchedule", None, None),
    ],
)
def test_taints_that_keep_pods_off_the_node(key: str, effect: str, status: str | None, reason: str | None) -> None:
    taint = parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule")
    found = checks(view(taints=(Taint(key=key, effect=effect),)), startup_taint=taint)
    assert (found["taints"].status if "taints" in found else None) == status
    assert (found["taints"].reason if "taints" in found else None) == reason


def test_the_cluster_expects_gpus_by_label_or_because_there_were_gpus() -> None:
    gate = Gate()
    assert not expects_gpus(None, gate)
    assert not expects_gpus(view(labels={}), gate)
    assert not expects_gpus(view(labels={}, capacity={GPU: "0", "cpu": "4"}), gate)
    assert expects_gpus(view(labels={}, capacity={GPU: "8"}), gate)
    assert expects_gpus(view(), gate)
    assert not expects_gpus(view(), Gate(key="", value=""))


class Access:
    """The API of a cluster that refuses some permissions."""

    def __init__(self, *refused: str, error: KubeError | None = None) -> None:
        self._refused, self._error = refused, error

    def may_i(self, verb: str, resource: str) -> bool:
        if self._error is not None:
            raise self._error
        return f"{verb} {resource}" not in self._refused


@pytest.mark.parametrize(
    ("access", "status", "sentence"),
    [
        (Access(), "ok", "the account of gpu-device-plugin has its permissions"),
        (
            Access("patch nodes/status", "create events"),
            "problem",
            "the account of gpu-device-plugin may not: patch nodes/status, create events",
        ),
        (Access(error=KubeError("refused")), "note", "the permissions of gpu-device-plugin are unknown: refused"),
    ],
)
def test_missing_permissions_are_a_problem(
    access: Access, status: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "AccessApi", lambda _: access)
    api: Any = None
    (check,) = cluster.check_permissions(api)
    assert (check.status, check.sentence) == (status, sentence)
