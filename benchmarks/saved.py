"""The results that a benchmark saves, and the machine that they are from."""

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node_core.host.atomic_write import write_atomically
from node_core.version import VERSION


def prepare_folder(folder: Path) -> None:
    """Creates the folder of the results. Call this before the measurement. Raises SystemExit if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        raise SystemExit(f"cannot save results in {folder}: {error.strerror}") from error


def save_results(path: Path, results: Mapping[str, Any]) -> None:
    """Replaces the file, which is complete JSON at any time. Raises OSError."""
    write_atomically(path, json.dumps(results, indent=1) + "\n")


def describe_machine() -> dict[str, str]:
    """Returns the number of cores, the load of the last minute, and the versions of Linux, Python and gpunode."""
    return {
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gpunode": VERSION,
    }
