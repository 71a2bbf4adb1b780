"""Commands of the host."""

from pathlib import Path

import pytest

from mig_manager.host_command import PATH, PREFIX, run_on_host
from node_core.errors import MigError


def test_the_command_gets_its_arguments_and_the_usual_path(tmp_path: Path) -> None:
    run_on_host(("/bin/sh", "-c", f'echo "$PATH" "$0" > {tmp_path}/called', "a b"), prefix=())
    assert (tmp_path / "called").read_text() == f"{PATH} a b\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("/bin/sh", "-c", "echo no such unit >&2; exit 5"), "status 5: no such unit"),
        (("/bin/sh", "-c", "kill -9 $$"), "status -9"),
        (("/missing",), "cannot start /missing"),
        (("/bin/sh", "-c", "printf '\\377'; exit 1"), "status 1: \ufffd"),
    ],
)
def test_a_command_that_fails_is_an_error_with_its_output(arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(MigError, match=why):
        run_on_host(arguments, prefix=())


def test_a_command_that_does_not_end_is_killed() -> None:
    with pytest.raises(MigError, match=r"did not end within 0\.01 s"):
        run_on_host(("/bin/sh", "-c", "read -r line < /dev/zero"), prefix=(), seconds=0.01)


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MigError, match=r"true on the host, status 1: .*No such file or directory"):
        run_on_host(("true",), prefix=(*PREFIX, str(tmp_path / "missing")))
