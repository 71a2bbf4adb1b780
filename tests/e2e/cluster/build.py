"""Builds the Go programs of a cluster once for each set of pins, in a cache."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster.commands import run
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import BINARIES, MODULES, Binary, pins_digest

NICENESS = 10
BUILD_S = 3600.0

Say = Callable[[str], None]


def cache_folder() -> Path:
    """Returns GPUNODE_CACHE, or ~/.cache/gpunode/cluster."""
    given = os.environ.get("GPUNODE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "gpunode" / "cluster"


def built(cache: Path, binaries: Sequence[Binary] = BINARIES) -> bool:
    """Whether the cache contains all binaries."""
    return not _missing(cache / pins_digest(binaries), binaries)


def build(cache: Path, say: Say, binaries: Sequence[Binary] = BINARIES) -> Path:
    """Builds the missing binaries and returns the folder with all binaries. Waits for another build in the same cache."""
    folder = cache / pins_digest(binaries)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(
            f"cannot create the cache {folder}: {error.strerror}", hint="set GPUNODE_CACHE to another folder"
        ) from error
    with locked(folder / ".lock"):
        for binary in _missing(folder, binaries):
            _build_one(binary, folder, say)
    return folder


def _missing(folder: Path, binaries: Sequence[Binary]) -> list[Binary]:
    return [binary for binary in binaries if not (folder / binary.name).exists()]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file or folder. Creates a missing file."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build_one(binary: Binary, folder: Path, say: Say) -> None:
    started = time.monotonic()
    unfinished = folder / f".{binary.name}"
    command = ("go", "build", "-trimpath", "-buildvcs=false", *binary.flags, "-o", str(unfinished), binary.package)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    run("nice", "-n", str(NICENESS), *command, seconds=BUILD_S, folder=MODULES / binary.module, environment=environment)
    unfinished.replace(folder / binary.name)
    say(f"built {binary.name} in {time.monotonic() - started:.0f} s")
