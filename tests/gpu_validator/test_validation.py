"""The order of the checks, and what a failure means for the later ones."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu_validator.check import Name, Report, Verdict, passed
from gpu_validator.driver import DriverFacts
from gpu_validator.kubelet import KubeletFacts, NodeState
from gpu_validator.validation import Sources, Validator
from node_core.errors import HostReadError, KubeError, KubeletError
from tests.gpu_validator.nodes import MAJORS, device_nodes, driver, group, inventory

FOUND = inventory()
IDS = tuple(each.uuid for each in FOUND.gpus)
OK, BAD, SKIPPED, NOT = Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED, Verdict.NOT_APPLICABLE


class Check:
    """Stands for the checks that start something."""

    def __init__(self, name: Name) -> None:
        self._name = name

    def check(self, *_: object) -> Any:
        return passed(self._name, "works")


def fail(error: Exception) -> Callable[..., Any]:
    def raise_error(*_: object) -> Any:
        raise error

    return raise_error


def validate(omitted: tuple[Name, ...] = (), found: DriverFacts | None = None, **sources: Any) -> Report:
    given = {
        "read_driver": lambda: found or driver(FOUND),
        "read_nodes": lambda: (device_nodes(), MAJORS),
        "read_specs": tuple,
        "find_node": lambda _: True,
        "why_no_cdi": lambda *_: "pods get their GPUs by envvar",
        "read_kubelet": lambda _: KubeletFacts(devices=(group(*IDS),)),
    }
    kernels: Any = Check(Name.CUDA)
    container: Any = Check(Name.CONTAINER)
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
