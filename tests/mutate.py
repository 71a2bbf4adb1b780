"""Measures the quality of the tests: changes one place of the product at a time, and expects that a test of the mirrored folder fails.

    make mutate COUNT=60 SEED=7 PACKAGES="node_core/host gfd" WIDER="tests/gpunode"

The mutants are selected at random. The same seed selects the same mutants until a module changes. The tests run in a copy of the tree. For
a mutant of node_core/kube/http.py, tests/node_core/kube/test_http.py runs first, and then the whole folder. If the folder of a module has
no tests, the tests of the next parent run. A mutant with which the tests exceed their time counts as killed.

Root runs the tests where only /tmp, and file systems that are mounted below /, can be changed: a mutant may delete what it should not.
"""

import argparse
import contextlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.mutants import Mutant, find_mutants
from tests.packages import PACKAGES, ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build")
GENERATED = ("_pb2.py", "_pb2_grpc.py")
SLOWER = 4
"""The maximum duration of the tests with a mutant, as a multiple of the duration without it."""
LEAST_LIMIT = 30.0
LONGEST = 900.0
PASSED = (0, 5)
"""Exit codes of pytest without a failure. 5: `make test` runs none of these tests."""
OUT_OF_TIME = -1
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd "$PWD" && exec "$@"'
"""A shell script that runs the command of its arguments while / is read-only. $0: the folder that remains writable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A mutant, and the module that it belongs to."""

    module: PurePosixPath
    mutant: Mutant

    @property
    def package(self) -> str:
        """The first two folders of the module."""
        return "/".join(self.module.parts[:-1][:2])

    def __str__(self) -> str:
        return f"{self.module}:{self.mutant.line}: {self.mutant}"


@dataclass(slots=True)
class Score:
    """The results of one package. unmeasured: the tests fail without the mutant."""

    killed: int = 0
    survivors: list[Place] = field(default_factory=list)
    unmeasured: list[Place] = field(default_factory=list)

    @property
    def percent(self) -> int:
        return round(100 * self.killed / max(1, self.killed + len(self.survivors)))


def find_places(root: Path, packages: Iterable[str]) -> dict[str, list[Place]]:
    """Returns all mutants by package."""
    found: dict[str, list[Place]] = {}
    for path in sorted({path for package in packages for path in (root / package).rglob("*.py")}):
        module = PurePosixPath(path.relative_to(root).as_posix())
        if not module.name.endswith(GENERATED):
            for mutant in find_mutants(path.read_text()):
                place = Place(module=module, mutant=mutant)
                found.setdefault(place.package, []).append(place)
    return found


def draw(found: Mapping[str, Sequence[Place]], count: int, seed: int) -> list[Place]:
    """Returns `count` mutants. The share of a package grows with the square root of its size, so that small packages have a score."""
    randomness = random.Random(seed)
    shuffled = {package: randomness.sample(places, len(places)) for package, places in sorted(found.items())}
    drawn: list[Place] = []
    while len(drawn) < count and shuffled:
        weights = [math.sqrt(len(found[package])) for package in shuffled]
        (package,) = randomness.choices(list(shuffled), weights)
        drawn.append(shuffled[package].pop())
        if not shuffled[package]:
            del shuffled[package]
    return drawn


def mirrored_tests(root: Path, module: PurePosixPath) -> list[str]:
    """Returns the test file of the module if it exists, and the nearest folder with tests."""
    own = root / "tests" / module.parent / f"test_{module.name}"
    folder = root / "tests" / module.parent
    while not any(folder.rglob("test_*.py")):
        folder = folder.parent
    return [path.relative_to(root).as_posix() for path in (own, folder) if path.exists()]


def protected(*command: str) -> tuple[str, ...]:
    """Returns the command that runs `command`; for root, in a mount namespace of its own with a read-only /. Source: unshare(1)."""
    if os.geteuid() != 0:
        return command
    return ("unshare", "--mount", "sh", "-c", READ_ONLY, tempfile.gettempdir(), *command)


def run_tests(tree: Path, tests: str, limit: float) -> int:
    """Returns the exit code of pytest, or OUT_OF_TIME. Ends processes that the tests have started."""
    process = subprocess.Popen(
        protected(sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", tests),
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return OUT_OF_TIME
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class FailingTestsError(Exception):
    """The tests fail without a mutant, so each mutant would count as killed."""


class Laboratory:
    """A copy of the tree whose modules are changed one at a time."""

    def __init__(self, source: Path, tree: Path) -> None:
        self.tree = shutil.copytree(source, tree, ignore=LEFT_OUT, symlinks=True)
        self._limits: dict[str, float] = {}
        self._writes = 0

    def is_killed(self, place: Place, wider: Sequence[str] = ()) -> bool:
        """Returns True if a test fails: in the test file of the module, in its mirrored folder, or in the wider tests, which run last.

        Raises FailingTestsError.
        """
        tests = [*mirrored_tests(self.tree, place.module), *wider]
        limits = [self._limit(each) for each in tests]
        path = self.tree / place.module
        source = path.read_text()
        try:
            self._write(path, place.mutant.apply(source))
            return any(run_tests(self.tree, *each) not in PASSED for each in zip(tests, limits, strict=True))
        finally:
            self._write(path, source)

    def _write(self, path: Path, source: str) -> None:
        """Writes the file with a new modification time. Otherwise Python uses cached bytecode of a file with the same second and size."""
        self._writes += 1
        path.write_text(source)
        os.utime(path, (self._writes, self._writes))

    def _limit(self, tests: str) -> float:
        """Raises FailingTestsError."""
        if tests not in self._limits:
            start = time.monotonic()
            has_passed = run_tests(self.tree, tests, LONGEST) in PASSED
            self._limits[tests] = max(LEAST_LIMIT, SLOWER * (time.monotonic() - start)) if has_passed else 0.0
        if not (limit := self._limits[tests]):
            raise FailingTestsError(f"{tests} fails without a change")
        return limit


def measure(laboratory: Laboratory, drawn: Sequence[Place], wider: Sequence[str]) -> dict[str, Score]:
    """Returns the score of each package. Prints a line for each mutant."""
    scores: dict[str, Score] = {}
    for number, place in enumerate(drawn, 1):
        score = scores.setdefault(place.package, Score())
        try:
            killed = laboratory.is_killed(place, wider)
        except FailingTestsError as error:
            score.unmeasured.append(place)
            print(f"[{number}/{len(drawn)}] unknown: {error}: {place}", flush=True)
            continue
        if killed:
            score.killed += 1
        else:
            score.survivors.append(place)
        print(f"[{number}/{len(drawn)}] {'killed  ' if killed else 'SURVIVED'} {place}", flush=True)
    return scores


def render(scores: Mapping[str, Score]) -> str:
    """Renders the survivors, the mutants whose tests fail without them, and a line for each package."""
    lines = [f"survived: {place}" for _, score in sorted(scores.items()) for place in score.survivors]
    lines += [f"unknown: {place}" for _, score in sorted(scores.items()) for place in score.unmeasured]
    total = Score(
        killed=sum(score.killed for score in scores.values()),
        survivors=[place for score in scores.values() for place in score.survivors],
    )
    for package, score in [*sorted(scores.items()), ("all", total)]:
        lines.append(
            f"{package:<28} {score.killed:>4} of {score.killed + len(score.survivors):>4} {score.percent:>4} %"
        )
    return "\n".join(lines)


def main() -> None:
    environment = os.environ.get
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=environment("COUNT") or 40, help="Draw this many mutants.")
    parser.add_argument("--seed", type=int, default=environment("SEED") or 1, help="Draw the mutants of this seed.")
    parser.add_argument(
        "--packages",
        nargs="*",
        default=(environment("PACKAGES") or " ".join(PACKAGES)).split(),
        help="Change these folders only.",
    )
    parser.add_argument(
        "--wider",
        nargs="*",
        default=(environment("WIDER") or "").split(),
        help="Run these tests too where a mutant survives.",
    )
    given = parser.parse_args()
    if unknown := [package for package in given.packages if not (ROOT / package).is_dir()]:
        parser.error(f"{', '.join(unknown)} is not a folder of this tree. Use paths like node_core/host.")
    if subprocess.run(protected("true"), check=False).returncode != 0:
        parser.error(
            "root cannot make / read-only for the tests. Use an ordinary user, or give this process CAP_SYS_ADMIN."
        )
    drawn = draw(find_places(ROOT, given.packages), given.count, given.seed)
    with tempfile.TemporaryDirectory(prefix="gpunode-mutate-") as folder:
        print(render(measure(Laboratory(ROOT, Path(folder) / "tree"), drawn, given.wider)))


if __name__ == "__main__":
    main()
