"""The results of the original Go libraries: Sprig for templates, and the library of container runtimes for CDI specifications."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster.build import build, cache_folder
from tests.e2e.cluster.pins import ORACLE

TIMEOUT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleResult:
    """error: empty for no error."""

    output: str
    error: str


def run_oracle(subject: str, inputs: Iterable[Any]) -> list[OracleResult]:
    """Returns a result for each input, in the same order. subject: `templates` or `cdi`. Builds the Go program at the first call."""
    program = build(cache_folder(), lambda line: print(line, file=sys.stderr), (ORACLE,)) / ORACLE.name
    lines = "\n".join(map(json.dumps, inputs))
    done = subprocess.run(
        [program, subject], input=lines, capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    return [OracleResult(**json.loads(line)) for line in done.stdout.splitlines()]
