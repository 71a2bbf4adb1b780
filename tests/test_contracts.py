"""Rules about the tree that no linter knows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_pin_every_package_with_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = [entry for entry in text.split("\n") if entry and not entry.startswith((" ", "#"))]
    assert entries
    for entry in entries:
        assert "==" in entry
        assert entry.endswith("\\"), f"{entry} has no hash"


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("gfd.__main__", ("kubernetes", "grpc", "cryptography", "pynvml")),
        ("nfd_lite.__main__", ("kubernetes", "grpc", "cryptography", "pynvml")),
        ("device_plugin.__main__", ("kubernetes", "cryptography", "pynvml")),
    ],
)
def test_an_agent_imports_nothing_heavy_before_it_is_needed(program: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {program}; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
