"""The report as text and as JSON."""

import json

from gpu_core.nvml.driver_version import DriverVersions
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.report import Report, render_json, render_text
from gpunode.output.terminal import Terminal

VERSIONS = DriverVersions(module=None, library=None)


def text(checks: list[Check]) -> str:
    return render_text(Report(checks=checks, versions=VERSIONS), Terminal())


def test_control_characters_are_replaced() -> None:
    checks = [
        problem("gpus", "it says \x1b[2J\x07", "ask\nok gpus: fine", reason="NVMLFails"),
        note("x", "\u202e\udcff"),
    ]
    assert text(checks).splitlines() == [
        "1 problem found: pods cannot get all GPUs of this node, or something needs an action.",
        "",
        "problem  gpus: NVMLFails: it says ?[2J?",
        "note     x: ??",
        "",
        "What to do:",
        "  - gpus: ask?ok gpus: fine",
    ]


def test_the_verdict_is_first_then_the_evidence_then_what_to_do() -> None:
    checks = [
        ok("gpus", "fine"),
        note("api", "none"),
        problem("agent", "a", "start it"),
        problem("agent", "b", "start it"),
    ]
    lines = text(checks).splitlines()
    assert lines[0].startswith("2 problems found: ")
    assert [line.split()[0] for line in lines[2:6]] == ["problem", "problem", "note", "ok"]
    assert lines[6:] == ["", "What to do:", "  - agent: start it"]


def test_a_narrow_terminal_gets_lines_of_its_width() -> None:
    checks = [problem("agent", "gpu-device-plugin does not run on this node", "start gpu-device-plugin on this node")]
    report = Report(checks=checks, versions=VERSIONS)
    lines = render_text(report, Terminal(width=40)).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[4:6] == ["problem  agent: gpu-device-plugin does", "         not run on this node"]


def test_the_status_of_each_check_has_a_colour() -> None:
    coloured = render_text(Report(checks=[ok("gpus", "fine")], versions=VERSIONS), Terminal(has_colors=True))
    assert coloured == "\x1b[32mPods can get the GPUs of this node.\x1b[0m\n\n\x1b[32mok\x1b[0m       gpus: fine\n"


def test_without_a_problem_the_summary_states_what_pods_get() -> None:
    checks = [ok("gpus", "fine", reason="GPUsReady"), note("x", "y")]
    assert text(checks).startswith("Pods can get the GPUs of this node.\n")
    simulated = Report(checks=checks, simulated="t4x1", versions=VERSIONS)
    assert simulated.summary == "The GPUs are simulated: pods get no real GPU on this node."


def test_the_reason_is_the_reason_of_a_problem_if_there_is_a_problem() -> None:
    fine = ok("gpus", "fine", reason="GPUsReady")
    assert json.loads(render_json(Report(checks=[fine], versions=VERSIONS)))["reason"] == "GPUsReady"
    checks = [fine, problem("agent", "a", "b"), problem("label", "a", "b", reason="NodeNotLabelled")]
    assert json.loads(render_json(Report(checks=checks, versions=VERSIONS)))["reason"] == "NodeNotLabelled"
    assert json.loads(render_json(Report(checks=checks[:2], versions=VERSIONS)))["reason"] is None
