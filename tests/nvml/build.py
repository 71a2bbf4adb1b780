"""Compiles a simulated library of the driver, with all used functions, or without some functions like an older driver."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "nvml.c"
SONAME = "libnvidia-ml.so.1"
COMPILER = shutil.which("cc")
NO_COMPILER = "no C compiler: apt-get install gcc libc6-dev, and the tests of the NVML library run too"
IN_CI = os.environ.get("CI", "").lower() == "true"
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")


def build_library(
    root: Path,
    *,
    lacking: tuple[str, ...] = (),
    source: Path = SOURCE,
    soname: str = SONAME,
    exported: str = "nvml*",
    fits: str | None = None,
) -> Path:
    """Builds a library at the default path below a driver root. lacking: functions that the library does not export.

    fits: the only driver version that works with the library.
    """
    assert COMPILER is not None, NO_COMPILER
    folder = root / "usr/lib64"
    folder.mkdir(parents=True)
    hidden = "".join(f"{name}; " for name in lacking)
    exports = folder / "exports.map"
    exports.write_text(f"{{ global: {exported}; local: {hidden}*; }};\n")  # a name has precedence over a pattern
    library = folder / soname
    linked = (f"-Wl,-soname,{soname}", f"-Wl,--version-script={exports}")
    defined = () if fits is None else (f'-DFITS="{fits}"',)
    subprocess.run([COMPILER, *FLAGS, *defined, *linked, "-o", library, source], check=True)
    return library


def skip_without_compiler(items: list[pytest.Item]) -> None:
    """Without a compiler, skips the tests that need one, with one line. In CI these tests fail instead."""
    if COMPILER is None and not IN_CI:
        for item in items:
            if isinstance(item, pytest.Function) and "build" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=NO_COMPILER))
