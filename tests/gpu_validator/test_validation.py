"""The order of the checks, and what a failure means for the later ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims.specs import KIND
from gpu_validator.cdi import SpecFile
from gpu_validator.check import Check as Result
from gpu_validator.check import Name, Report, Verdict, failed, passed
from gpu_validator.driver import DriverFacts
from gpu_validator.kubelet import KubeletFacts, NodeState
from gpu_validator.validation import Sources, Validator
from node_core.errors import HostReadError, KubeError, KubeletError
from tests.gpu_validator.nodes import MAJORS, device_nodes, driver, group, inventory, spec

FOUND = inventory()
IDS = tuple(each.uuid for each in FOUND.gpus)
OK, BAD, SKIPPED, NOT = Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED, Verdict.NOT_APPLICABLE


class Check:
    """Stands for the checks that start something."""

    def __init__(self, name: Name, result: Result | None = None) -> None:
        self._result = result or passed(name, "works")

    def check(self, *_: object) -> Any:
        return self._result


def fail(error: Exception) -> Callable[..., Any]:
    def raise_error(*_: object) -> Any:
        raise error

    return raise_error


def validate(
    omitted: tuple[Name, ...] = (), found: DriverFacts | None = None, container: Any = None, **sources: Any
) -> Report:
    given = {
        "read_driver": lambda: found or driver(FOUND),
        "read_nodes": lambda: (device_nodes(), MAJORS),
        "read_specs": tuple,
        "find_node": lambda _: True,
        "why_no_cdi": lambda *_: "pods get their GPUs by envvar",
        "read_kubelet": lambda _: KubeletFacts(devices=(group(*IDS),)),
    }
    kernels: Any = Check(Name.CUDA)
    container = container or Check(Name.CONTAINER)
    made = Validator(sources=Sources(**{**given, **sources}), kernels=kernels, container=container, omitted=omitted)
    return made.run(NodeState())


def verdicts(report: Report) -> list[Verdict]:
    return [each.verdict for each in report.checks]


def test_the_checks_have_their_order() -> None:
    report = validate()
    assert [each.name for each in report.checks] == list(Name)
    assert verdicts(report) == [OK, OK, NOT, OK, OK, NOT, OK]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"found": driver(None, code="TIMEOUT", error="hangs")}, [BAD, *[SKIPPED] * 6]),
        ({"read_nodes": lambda: (device_nodes(0), MAJORS)}, [OK, BAD, NOT, SKIPPED, OK, NOT, OK]),
        ({"why_no_cdi": lambda *_: None}, [OK, OK, BAD, OK, OK, NOT, SKIPPED]),
        ({"read_kubelet": lambda _: KubeletFacts(error="down")}, [OK, OK, NOT, OK, BAD, NOT, SKIPPED]),
    ],
    ids=["driver", "device nodes", "cdi", "kubelet"],
)
def test_a_failure_skips_the_checks_that_need_its_result(sources: dict[str, Any], expected: list[Verdict]) -> None:
    assert verdicts(validate(**sources)) == expected


def test_with_gpus_by_claims_alone_nothing_is_checked_that_only_a_device_plugin_gives() -> None:
    by_claims: dict[str, Any] = {
        "read_kubelet": lambda _: KubeletFacts(has_dra_driver=True),
        "why_no_cdi": lambda *_: None,
    }
    assert verdicts(validate(**by_claims)) == [OK, OK, NOT, OK, NOT, NOT, NOT]
    both: dict[str, Any] = {"read_kubelet": lambda _: KubeletFacts(devices=(group(*IDS),), has_dra_driver=True)}
    assert verdicts(validate(**{**by_claims, **both}))[2] is BAD


def claim(*names: str) -> tuple[SpecFile, ...]:
    return tuple(SpecFile(path=Path(f"/var/run/cdi/{name}.json"), spec=spec(name, kind=KIND)) for name in names)


@pytest.mark.parametrize(
    ("reads", "end", "verdict"),
    [
        ([claim("u1-gpu-0")] * 2, passed(Name.CONTAINER, "works"), OK),
        ([claim("u1-gpu-0")] * 3, failed(Name.CONTAINER, "lacks a", "b"), BAD),
        ([*[claim("u1-gpu-0", "u2-gpu-1")] * 2, claim("u2-gpu-1")], failed(Name.CONTAINER, "lacks a", "b"), NOT),
        ([*[claim("u1-gpu-0")] * 2, ()], failed(Name.CONTAINER, "unresolvable", "b"), NOT),
        ([claim("u1-gpu-0"), ()], failed(Name.CONTAINER, "started", "b"), NOT),
    ],
    ids=["passed", "failed", "ended", "last ended", "no claim"],
)
def test_a_container_starts_with_a_device_of_a_claim_that_a_pod_has(
    reads: list[tuple[SpecFile, ...]], end: Result, verdict: Verdict
) -> None:
    """The first read is that of the check cdi."""
    left = list(reads)
    given: dict[str, Any] = {
        "read_kubelet": lambda _: KubeletFacts(has_dra_driver=True),
        "read_specs": lambda: left.pop(0),
        "why_no_cdi": lambda *_: None,
    }
    assert verdicts(validate(container=Check(Name.CONTAINER, end), **given))[-1] is verdict
    assert left == []


def test_the_resource_slices_are_checked_only_if_pods_get_the_gpus_by_claims_alone() -> None:
    by_claims: dict[str, Any] = {
        "read_kubelet": lambda _: KubeletFacts(has_dra_driver=True),
        "why_no_cdi": lambda *_: None,
        "read_slices": tuple,
    }
    assert verdicts(validate(**by_claims)) == [OK, OK, NOT, OK, NOT, BAD, SKIPPED]
    plugin: dict[str, Any] = {"read_kubelet": lambda _: KubeletFacts(devices=(group(*IDS),), has_dra_driver=True)}
    assert verdicts(validate(**{**by_claims, **plugin}))[5] is NOT
    (check,) = (
        each
        for each in validate(**{**by_claims, "read_slices": fail(KubeError("down"))}).checks
        if each.name is Name.SLICES
    )
    assert (check.verdict, check.sentence) == (BAD, "down")


def test_a_skipped_check_names_the_first_failure() -> None:
    report = validate(found=driver(None, code="TIMEOUT", error="hangs"))
    assert {each.sentence for each in report.checks[1:]} == {"the check driver failed"}


@pytest.mark.parametrize("error", [HostReadError("cannot read /proc/devices"), KubeletError("down", hint="start it")])
def test_an_error_is_the_result_of_its_check(error: Exception) -> None:
    check = validate(read_nodes=fail(error)).checks[1]
    assert (check.verdict, check.sentence) == (BAD, error.args[0])
    assert check.remedy


def test_a_check_that_is_switched_off_does_not_run_and_skips_nothing() -> None:
    report = validate((Name.DEVICE_NODES,), read_nodes=fail(AssertionError("ran")))
    assert verdicts(report) == [OK, NOT, NOT, OK, OK, NOT, OK]


def test_a_node_without_gpus_has_no_checks() -> None:
    report = validate(found=driver(None, has_gpus=False, module=False, code="DRIVER_NOT_LOADED"))
    assert report == Report(has_gpus=False)


def test_the_report_states_a_simulation() -> None:
    assert validate(found=driver(inventory(simulated=True), is_simulated=True)).simulated
