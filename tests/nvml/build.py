"""Compiles the C library, with all of NVML that we use or as an older driver's library that lacks some of it."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "nvml.c"
SONAME = "libnvidia-ml.so.1"
COMPILER = shutil.which("cc")
NO_COMPILER = "no C compiler: apt-get install gcc libc6-dev, and the tests of the NVML library run too"
IN_CI = os.environ.get("CI", "").lower() == "true"
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", f"-Wl,-soname,{SONAME}")


def build_library(root: Path, *, lacking: tuple[str, ...] = ()) -> Path:
    """Below a driver root, at its usual place. lacking: functions that this library does not export."""
    assert COMPILER is not None, NO_COMPILER
    folder = root / "usr/lib64"
    folder.mkdir(parents=True)
    hidden = "".join(f"{name}; " for name in lacking)
    exports = folder / "exports.map"
    exports.write_text(f"{{ global: nvml*; local: {hidden}*; }};\n")  # a name goes before a pattern
    library = folder / SONAME
    subprocess.run([COMPILER, *FLAGS, f"-Wl,--version-script={exports}", "-o", library, SOURCE], check=True)
    return library
