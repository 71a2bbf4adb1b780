"""bandit reports no issue in the product, and each exception contains its reason."""

import re
import subprocess
import sys

import pytest

from tests.packages import PACKAGES, ROOT


@pytest.mark.exhaustive
def test_bandit_reports_no_issue() -> None:
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", *PACKAGES, "--format", "txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "not a test name" not in done.stderr


def test_each_nosec_comment_contains_the_check_and_the_reason() -> None:
    lines = [
        line
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text().splitlines()
        if "# nosec" in line
    ]
    assert lines
    assert [line for line in lines if not re.search(r"# nosec B\d{3} # \S.*$", line)] == []
