"""Each threat and each fault that the documents list has a test in tests/README.md. tests/test_docs.py checks that the tests exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXPLANATION = ROOT / "docs" / "explanation"
TABLE = re.findall(r"^\| ([FS]\d+) \| (.*) \|$", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("page", "least"), [("health.md", 14), ("security.md", 54)])
def test_every_row_of_a_page_has_a_test(page: str, least: int) -> None:
    numbers = re.findall(r"^\| ([FS]\d+) \|", (EXPLANATION / page).read_text(), re.MULTILINE)
    assert len(numbers) == len(set(numbers)) >= least
    tested = {number for number, cell in TABLE if "::test_" in cell and number[0] == numbers[0][0]}
    assert tested == set(numbers)
