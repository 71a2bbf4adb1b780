"""docs/how-to/why-pending.md has the output of the command, and all reasons and states."""

import re

from gpunode.why.causes import CauseKind
from gpunode.why.explanation import State
from tests.conftest import GOLDEN
from tests.fuzz.parsers import ROOT

PAGE = (ROOT / "docs/how-to/why-pending.md").read_text()
UNREMARKABLE = (State.RUNNING, State.COMPLETED, State.PLACEABLE, State.BLOCKED)


def test_the_example_is_an_output_of_the_command() -> None:
    golden, example = re.search(r"<!-- tests/golden/(\S+) -->\n```\n(.*?)```", PAGE, re.DOTALL).groups()  # type: ignore[union-attr]
    output = (GOLDEN / golden).read_text()
    assert all(part in output for part in example.split("...\n"))


def test_each_reason_and_each_state_that_needs_a_remark_is_described() -> None:
    assert [each for each in (*CauseKind, *State) if each not in UNREMARKABLE and f"`{each}`" not in PAGE] == []
