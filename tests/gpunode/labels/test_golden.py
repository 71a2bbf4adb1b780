"""The complete output on simulated GPUs: in a pipe, in a terminal of 40 columns, for programs, and with rules."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.gpunode.labels.conftest import Show
from tests.gpunode.verbs import without_styles

STABLE = ("--no-timestamp", "true")
CASES: dict[str, dict[str, Any]] = {
    "h100x8.txt": {"arguments": ()},
    "h100x8-40-columns.txt": {"arguments": (), "columns": 40},
    "h100x8-wide.txt": {"arguments": ("-o", "wide")},
    "a100x4-mig-single.txt": {"arguments": ("--mig-strategy", "single"), "simulate": "a100x4-mig-single"},
    "a100x4-mig-single-100-columns.txt": {
        "arguments": ("--mig-strategy", "single"),
        "simulate": "a100x4-mig-single",
        "columns": 100,
    },
    "none.txt": {"arguments": (), "simulate": "none", "host": "debian-13"},
    "none.csv": {"arguments": ("-o", "csv"), "simulate": "none", "host": "debian-13"},
    "none.yaml": {"arguments": ("-o", "yaml"), "simulate": "none", "host": "debian-13"},
    "none.name.txt": {"arguments": ("-o", "name"), "simulate": "none", "host": "debian-13"},
    "l40sx4.json": {"arguments": ("-o", "json"), "simulate": "l40sx4", "host": "icelake-sriov"},
}


@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_the_labels_of_a_host(name: str, show: Show, golden: Callable[[str, str], None]) -> None:
    case = dict(CASES[name])
    result = show(*STABLE, *case.pop("arguments"), **case)
    assert result.exit_code == 0
    golden(f"labels/{name}", without_styles(result.stdout))


@pytest.mark.golden
def test_the_labels_of_a_host_with_rules(show: Show, rules: str, golden: Callable[[str, str], None]) -> None:
    result = show(*STABLE, "--rules", rules)
    assert result.exit_code == 0
    golden("labels/h100x8-rules.txt", result.stdout)


KEYS = ("mig.strategy", "gpu.product", "pci-10de.present", "nic", "any", "vendor.io/x-1", "gpu.prodct", "memory-nv.dax")


@pytest.mark.golden
@pytest.mark.parametrize("columns", [40, 100])
def test_answers_for_single_labels(columns: int, show: Show, rules: str, golden: Callable[[str, str], None]) -> None:
    results = [show(*STABLE, "--rules", rules, key, columns=columns) for key in KEYS]
    golden(f"labels/answers-{columns}-columns.txt", "\n".join(without_styles(each.stdout) for each in results))
    assert [each.exit_code for each in results] == [1, 0, 1, 1, 1, 1, 1, 0]


@pytest.mark.golden
def test_an_answer_for_programs(show: Show, rules: str, golden: Callable[[str, str], None]) -> None:
    golden("labels/answer.json", show("--rules", rules, "nic", "-o", "json").stdout)
    golden("labels/answer.yaml", show("gpu.count", "-o", "yaml").stdout)
