"""Breaks the surroundings of the agents, and counts what a Node loses: `make faults`.

    sudo .venv/bin/python -m benchmarks.faults [--quick] [--only NAME] [--folder FOLDER]

Each fault has a Node of its own with eight simulated GPUs, on which `gpunode run` runs as a process. Pods hold four GPUs all the time,
and others start and end. Prints a table, and writes it to faults.json in the folder. Ends with status 1 after a loss:

- a label is lost if a write of the agents removes it, or if the Node does not have it after the fault
- an allocation is lost if a pod is refused although a GPU is free, if a GPU that a pod holds is no longer a healthy device, or if the CDI
  file does not have the device of a pod
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.faults.cases import CASES
from benchmarks.faults.table import Row, render_text, to_json


def run_case(name: str, *, is_quick: bool) -> Row:
    case = CASES[name]
    try:
        return case.run(case.quick if is_quick else case.count)
    except SystemExit as error:  # the agents ended, or did not recover
        return Row(fault=name, count=1, problems=[str(error)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of each fault")
    parser.add_argument("--only", action="append", choices=CASES, help="only this fault; can be repeated")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="folder of faults.json (build)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root to create the device nodes of simulated GPUs")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)  # before the faults, which need minutes
    except OSError as error:
        parser.error(f"--folder {options.folder} cannot be created: {error.strerror}")
    rows = []
    for name in options.only or CASES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(run_case(name, is_quick=options.quick))
    (options.folder / "faults.json").write_text(json.dumps(to_json(rows), indent=1) + "\n")
    print(render_text(rows), end="")
    sys.exit(0 if all(row.is_passed for row in rows) else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
