"""The report as text and as JSON."""

import json

from gpu_core.nvml.driver_version import DriverVersions
from gpunode.doctor.check import note, ok, problem
from gpunode.doctor.report import Report, render_json, render_text

VERSIONS = DriverVersions(module=None, library=None)


def test_control_characters_are_replaced() -> None:
    checks = [
        problem("gpus", "it says \x1b[2J\x07", "ask\nok gpus: fine", reason="NVMLFails"),
        note("x", "\u202e\udcff"),
    ]
    assert render_text(Report(checks=checks, versions=VERSIONS)).splitlines() == [
        "problem  gpus: NVMLFails: it says ?[2J?",
        "         to do: ask?ok gpus: fine",
        "note     x: ??",
        "1 problem found: pods cannot get all GPUs of this node, or something needs an action.",
    ]


def test_without_a_problem_the_summary_states_what_pods_get() -> None:
    checks = [ok("gpus", "fine", reason="GPUsReady"), note("x", "y")]
    assert render_text(Report(checks=checks, versions=VERSIONS)).endswith("\nPods can get the GPUs of this node.\n")
    simulated = Report(checks=checks, simulated="t4x1", versions=VERSIONS)
    assert render_text(simulated).endswith("\nThe GPUs are simulated: pods get no real GPU on this node.\n")


def test_the_reason_is_the_reason_of_a_problem_if_there_is_a_problem() -> None:
    fine = ok("gpus", "fine", reason="GPUsReady")
    assert json.loads(render_json(Report(checks=[fine], versions=VERSIONS)))["reason"] == "GPUsReady"
    checks = [fine, problem("agent", "a", "b"), problem("label", "a", "b", reason="NodeNotLabelled")]
    assert json.loads(render_json(Report(checks=checks, versions=VERSIONS)))["reason"] == "NodeNotLabelled"
    assert json.loads(render_json(Report(checks=checks[:2], versions=VERSIONS)))["reason"] is None
