"""One line names the missing requirements and the commands to install them."""

import pytest

from tests.e2e.cluster.needs import describe_missing, may_install


def test_without_missing_requirements_there_is_no_message() -> None:
    assert describe_missing(root=True, go=True, packages=()) is None


@pytest.mark.parametrize(
    ("root", "go", "packages", "commands"),
    [
        pytest.param(False, True, (), ["sudo -E make cluster"], id="root"),
        pytest.param(True, False, (), ["apt-get install golang-go"], id="Go"),
        pytest.param(
            True, True, ("runc", "nftables"), ["apt-get install runc nftables", "GPUNODE_INSTALL=1"], id="packages"
        ),
        pytest.param(False, False, ("runc",), ["sudo", "golang-go", "apt-get install runc"], id="all of it"),
    ],
)
def test_one_line_contains_the_commands(root: bool, go: bool, packages: tuple[str, ...], commands: list[str]) -> None:
    line = describe_missing(root=root, go=go, packages=packages)
    assert line is not None
    assert "\n" not in line
    assert all(command in line for command in commands)


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        pytest.param({}, False, id="nobody asked"),
        pytest.param({"GPUNODE_INSTALL": "1"}, True, id="asked"),
        pytest.param({"GPUNODE_INSTALL": "0"}, False, id="declined"),
        pytest.param({"CI": "true"}, True, id="CI"),
        pytest.param({"CI": "false"}, False, id="not CI"),
    ],
)
def test_packages_are_installed_only_if_allowed(environment: dict[str, str], allowed: bool) -> None:
    assert may_install(environment) is allowed
