"""What this machine must have, and the one line that says what it lacks."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.e2e.cluster.build import Say, built
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import DEBIAN_PACKAGES

GO = "Go is missing: install 1.21 or newer (it fetches the release that the pins name): apt-get install golang-go"

INSTALL_S = 600.0


def may_install(environment: Mapping[str, str]) -> bool:
    """Without being asked nothing is installed but in CI."""
    return environment.get("GPUNODE_INSTALL") == "1" or environment.get("CI", "").lower() == "true"


def describe_missing(*, root: bool, go: bool, packages: Iterable[str]) -> str | None:
    """None: nothing is."""
    names = " ".join(packages)
    lacking = [
        *([] if root else ["root is needed: sudo -E make cluster"]),
        *([] if go else [GO]),
        *(
            [f"Debian packages are missing: apt-get install {names} (GPUNODE_INSTALL=1 does it for you)"]
            if names
            else []
        ),
    ]
    return "; ".join(lacking) or None


def missing_packages() -> tuple[str, ...]:
    return tuple(package.name for package in DEBIAN_PACKAGES if not package.file.exists())


def meet_needs(cache: Path, say: Say) -> None:
    """Installs Debian packages where that is wanted; raises for what is missing then. Go is needed only to fill the cache."""
    root, packages = os.geteuid() == 0, missing_packages()
    if packages and root and may_install(os.environ) and shutil.which("apt-get"):
        say(f"installing {' '.join(packages)}")
        _install(packages)
        packages = missing_packages()
    lacking = describe_missing(root=root, go=built(cache) or shutil.which("go") is not None, packages=packages)
    if lacking is not None:
        raise ClusterError(lacking)


def _install(packages: tuple[str, ...]) -> None:
    run("apt-get", "update", "-qq", seconds=INSTALL_S)
    run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages, seconds=INSTALL_S)
