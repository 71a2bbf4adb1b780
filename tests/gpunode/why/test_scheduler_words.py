"""The message of kube-scheduler."""

import pytest

from gpunode.why.scheduler_words import other_reasons, parse_message

NODES = "0/10 nodes are available:"
HELPLESS = "preemption: 0/10 nodes are available: 10 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        (f"{NODES} 3 Insufficient nvidia.com/gpu.", {"Insufficient nvidia.com/gpu": 3}),
        (
            f"{NODES} 1 node(s) had untolerated taint {{a.b/c: d}}, 9 node(s) were unschedulable. {HELPLESS}",
            {"node(s) had untolerated taint {a.b/c: d}": 1, "node(s) were unschedulable": 9},
        ),
        (f"{NODES} 10 Insufficient cpu. no new claims to deallocate, {HELPLESS}", {"Insufficient cpu": 10}),
        (f'{NODES} persistentvolumeclaim "d" not found. {HELPLESS}', {'persistentvolumeclaim "d" not found': 0}),
        ("no nodes available to schedule pods", {}),
        ("", {}),
    ],
)
def test_the_message_has_a_number_for_each_reason(message: str, reasons: dict[str, int]) -> None:
    assert parse_message(message) == reasons


@pytest.mark.parametrize(
    "reason",
    [
        "1 Insufficient cpu", "1 Too many pods", "1 node(s) had untolerated taint {a: b}", "1 node(s) had untolerated taint(s)",
        "1 node(s) had taint {a: }, that the pod didn't tolerate", "1 node(s) were unschedulable",
        "1 node(s) didn't match Pod's node affinity/selector",
    ],
)  # fmt: skip
def test_reasons_that_are_evaluated_here_are_not_other_reasons(reason: str) -> None:
    assert other_reasons(f"{NODES} {reason}. {HELPLESS}") == ()


@pytest.mark.parametrize(
    ("reason", "about"),
    [
        ("node(s) didn't match pod affinity rules", "pod affinity:"),
        ("node(s) didn't satisfy existing pods anti-affinity rules", "pod anti-affinity of"),
        ("node(s) didn't match pod topology spread constraints", "topology spread constraints"),
        ("node(s) didn't have free ports for the requested pod ports", "a hostPort"),
        ("node(s) had volume node affinity conflict", "volumes"),
        ("node(s) exceed max volume count", "volumes"),
        ("cannot allocate all claims", "claims"),
    ],
)
def test_other_reasons_are_named(reason: str, about: str) -> None:
    (found,) = other_reasons(f"{NODES} 3 {reason}, 7 Insufficient cpu. {HELPLESS}")
    assert found.startswith(f"{reason}. It concerns {about}")


def test_an_unknown_message_is_another_reason() -> None:
    assert other_reasons("running Reserve plugin failed") == ("running Reserve plugin failed",)
    assert other_reasons("no nodes available to schedule pods") == ()
