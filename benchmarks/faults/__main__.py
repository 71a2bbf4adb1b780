"""Breaks the surroundings of the agents, and counts what a Node loses: `make faults`.

    sudo .venv/bin/python -m benchmarks.faults [--quick] [--only NAME] [--folder FOLDER]

Each fault has a Node of its own with eight simulated GPUs, on which `gpunode run` runs as a process. Pods hold four GPUs all the time,
and others start and end. Prints a table, and writes it to faults.json in the folder after each fault. Ends with status 1 after a loss:

- a label is lost if a write of the agents removes it, or if the Node does not have it after the fault
- an allocation is lost if a pod is refused although a GPU is free, if a GPU that a pod holds is no longer a healthy device, or if the CDI
  file does not have the device of a pod
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.faults.cases import CASES
from benchmarks.faults.table import Row, render_text, to_json
from benchmarks.saved import describe_machine, prepare_folder, save_results


def run_case(name: str, *, is_quick: bool) -> Row:
    case = CASES[name]
    try:
        return case.run(case.quick if is_quick else case.count)
    except SystemExit as error:  # the agents ended, or did not recover
        return Row(fault=name, count=1, problems=[str(error)])


def run_cases(names: Iterable[str], run: Callable[[str], Row], file: Path, *, is_quick: bool = False) -> list[Row]:
    """Runs the faults, and saves the rows after each one. Complete results have all faults. run: returns the row of a fault."""
    names, machine, rows = list(names), describe_machine(), list[Row]()
    for number, name in enumerate(names, start=1):
        print(f"{name} ({number} of {len(names)}) ...", file=sys.stderr, flush=True)
        rows.append(run(name))
        is_complete = CASES.keys() <= set(names[:number])
        save_results(file, {"machine": machine, "complete": is_complete, "quick": is_quick, **to_json(rows)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of each fault")
    parser.add_argument("--only", action="append", choices=CASES, help="only this fault; can be repeated")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="folder of faults.json (build)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root to create the device nodes of simulated GPUs")
    prepare_folder(options.folder)
    run = partial(run_case, is_quick=options.quick)
    rows = run_cases(options.only or CASES, run, options.folder / "faults.json", is_quick=options.quick)
    print(render_text(rows), end="")
    sys.exit(0 if all(row.is_passed for row in rows) else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
