"""Runs the command line of gpunode in this process, as a person runs it."""

import re
from collections.abc import Mapping

from click.testing import CliRunner, Result

from gpunode.__main__ import gpunode

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def run_verb(
    *arguments: str,
    columns: int | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    program: str = "gpunode",
) -> Result:
    """Returns exit_code, stdout and stderr. columns: the width of a terminal; None for a pipe. environment: in addition to an empty one."""
    clean = dict.fromkeys(("KUBECONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"))
    terminal = {} if columns is None else {"FORCE_COLOR": "1", "COLUMNS": str(columns)}
    return CliRunner().invoke(
        gpunode,
        arguments,
        prog_name=program,
        env={**clean, **terminal, **(environment or {})},
        input=stdin,
        color=columns is not None,
    )


def without_styles(text: str) -> str:
    """Returns the text of a terminal without its colours."""
    return _STYLE.sub("", text)
