"""Rules of this repository that linters cannot check."""

import re

import pytest

from tests.packages import PACKAGES, PROJECT, ROOT


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-terminal.lock", "requirements-dev.lock"])
def test_locks_pin_every_package_with_hashes_and_contain_no_url(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = [entry for entry in text.split("\n") if entry and not entry.startswith((" ", "#"))]
    assert entries
    for entry in entries:
        assert "==" in entry
        assert entry.endswith("\\"), f"{entry} has no hash"


def test_only_the_locks_for_terminals_and_development_contain_rich() -> None:
    locks = ("requirements.lock", "requirements-terminal.lock", "requirements-dev.lock")
    assert [name for name in locks if re.search("^rich==", (ROOT / name).read_text(), re.MULTILINE)] == [*locks[1:]]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_installed_checked_and_in_the_image(package: str) -> None:
    tools = PROJECT["tool"]
    assert f"{package}*" in tools["setuptools"]["packages"]["find"]["include"]
    assert package in tools["mypy"]["packages"]
    assert package in tools["ruff"]["lint"]["isort"]["known-first-party"]
    assert f"!{package}" in (ROOT / ".dockerignore").read_text().splitlines()
