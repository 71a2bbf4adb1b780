"""Builds the archive of the driver image, and the files of a host with the GPUs that its library reports."""

import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from simulation.scenarios.scenario import load_scenario
from tests.e2e.cluster.archive import Entry, Image
from tests.e2e.cluster.image import busybox_entries, cached_archive, shared_libraries
from tests.nvml.build import build_library
from tests.nvml.scenario_lines import render_lines, write_host_root

REPOSITORY, NAME, VERSION = "gpunode.local", "driver", "550.54.15"
SCENARIO = "h100x8"
HERE = Path(__file__).parent
ROOT = "driver"
"""The folder of the image that is mounted at /run/nvidia/driver. It has the layout of a distribution."""


def build_driver(cache: Path, os_tag: str) -> Path:
    """Builds an archive of REPOSITORY/NAME:VERSION-os_tag, the reference that gpu-operator derives. os_tag: for example `debian12`."""
    image = Image(reference=f"{REPOSITORY}/{NAME}:{VERSION}-{os_tag}", environment={"PATH": "/usr/bin:/bin"})
    with tempfile.TemporaryDirectory(prefix="gpunode-driver-") as folder:
        return cached_archive(cache, "driver", (image,), list(driver_entries(Path(folder))))


def read_os_tag() -> str:
    """Returns the end of the tag of an image for this machine, which is the node of the cluster: `debian12`."""
    release = platform.freedesktop_os_release()
    return f"{release['ID']}{release.get('VERSION_ID', '')}"


def driver_entries(folder: Path) -> Iterator[Entry]:
    """The files of the image. folder: for the library, which is compiled."""
    yield from busybox_entries()
    for name in ("nvidia-driver", "nvidia-smi"):
        script = (HERE / f"{name}.sh").read_bytes()
        yield Entry(path=f"usr/bin/{name}", content=script, executable=True)
        yield Entry(path=f"{ROOT}/usr/bin/{name}", content=script, executable=True)
    libraries = f"{ROOT}/usr/lib/{platform.machine()}-linux-gnu"
    nvml, other = build_library(folder), min(shared_libraries([Path(sys.executable).resolve()]))
    for name, content in (("libnvidia-ml", nvml), ("libcuda", other)):
        yield Entry(path=f"{libraries}/{name}.so.{VERSION}", content=content)
        yield Entry(path=f"{libraries}/{name}.so.1", link=f"{name}.so.{VERSION}")
    yield Entry(path=f"{libraries}/scenario", content=render_lines(load_scenario(SCENARIO)).encode())


def install_driver(root: Path) -> None:
    """Writes the driver of the image to a folder of a host, in the layout of /usr/local/nvidia: bin and lib64."""
    folders = {"bin": "bin", f"{platform.machine()}-linux-gnu": "lib64"}
    with tempfile.TemporaryDirectory(prefix="gpunode-driver-") as folder:
        for each in driver_entries(Path(folder)):
            if each.path.startswith(f"{ROOT}/"):
                path = Path(each.path)
                _write(each, root / folders[path.parent.name] / path.name)


def _write(entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.link:
        path.symlink_to(entry.link)
        return
    path.write_bytes(entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes())
    path.chmod(0o755 if entry.executable else 0o644)


def write_gpu_host(folder: Path) -> Path:
    """Writes /sys of a host with the GPUs of the image, in place of the real one. Returns the folder that stands in for /sys."""
    return write_host_root(folder, load_scenario(SCENARIO)) / "sys"
