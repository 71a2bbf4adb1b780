"""Checks the requirements of this machine."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.e2e.cluster.build import Say, built
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import DEBIAN_PACKAGES

GO = "Go is missing. Install version 1.21 or newer, which downloads the pinned version: apt-get install golang-go"

INSTALL_S = 600.0


def may_install(environment: Mapping[str, str]) -> bool:
    """Whether packages may be installed: in CI, or with GPUNODE_INSTALL=1."""
    return environment.get("GPUNODE_INSTALL") == "1" or environment.get("CI", "").lower() == "true"


def describe_missing(*, root: bool, go: bool, packages: Iterable[str]) -> str | None:
    """Returns one line that describes what is missing, or None."""
    names = " ".join(packages)
    missing = [
        *([] if root else ["needs root: sudo -E make cluster"]),
        *([] if go else [GO]),
        *([f"Debian packages are missing: apt-get install {names} (or set GPUNODE_INSTALL=1)"] if names else []),
    ]
    return "; ".join(missing) or None


def missing_packages() -> tuple[str, ...]:
    return tuple(package.name for package in DEBIAN_PACKAGES if not package.file.exists())


def meet_needs(cache: Path, say: Say) -> None:
    """Installs Debian packages if allowed. Raises ClusterError if a requirement is missing. Go is required only to fill the cache."""
    root, packages = os.geteuid() == 0, missing_packages()
    if packages and root and may_install(os.environ) and shutil.which("apt-get"):
        say(f"installing {' '.join(packages)}")
        _install(packages)
        packages = missing_packages()
    missing = describe_missing(root=root, go=built(cache) or shutil.which("go") is not None, packages=packages)
    if missing is not None:
        raise ClusterError(missing)


def _install(packages: tuple[str, ...]) -> None:
    run("apt-get", "update", "-qq", seconds=INSTALL_S)
    run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages, seconds=INSTALL_S)
