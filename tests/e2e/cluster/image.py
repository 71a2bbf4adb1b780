"""Builds the images of the test cluster from this machine's Python, its installed packages and this tree, without a registry or a daemon.

Python, its libraries and its standard library have the same paths in the image as on this machine.
"""

import hashlib
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tests.e2e.cluster.archive import Entry, Image, write_archive
from tests.e2e.cluster.build import locked
from tests.e2e.cluster.commands import run
from tests.packages import PACKAGES, PROJECT

ROOT = Path(__file__).parents[3]

EXCLUDED = {
    "__pycache__",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "test",
    "tkinter",
    "turtledemo",
}
BUSYBOX = Path("/bin/busybox")
HOME = "opt/gpunode"
MAX_ARCHIVES = 3
EXPORT_S = 300.0

GPUNODE = "gpunode.local/gpunode:e2e"
TEST_IMAGE = "gpunode.local/busybox:e2e"
PAUSE = "gpunode.local/pause:e2e"


def build_busybox(cache: Path) -> Path:
    """Builds an archive of TEST_IMAGE, and of PAUSE, which sleeps."""
    images = (
        Image(reference=TEST_IMAGE, command=("/bin/sh",), environment={"PATH": "/bin"}),
        Image(reference=PAUSE, command=("/bin/sleep", "2147483647")),
    )
    return cached_archive(cache, "busybox", images, list(busybox_entries()))


def build_gpunode(cache: Path) -> Path:
    """Builds an archive of GPUNODE: the image of `make image` that GPUNODE_IMAGE names, or otherwise the programs and busybox."""
    if name := os.environ.get("GPUNODE_IMAGE"):
        return export_image(cache, name)
    environment = {
        "PATH": f"/{HOME}/bin:/bin",
        "PYTHONPATH": f"/{HOME}/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    entries = [*python_entries(), *package_entries(), *project_entries(), *busybox_entries()]
    return cached_archive(cache, "gpunode", (Image(reference=GPUNODE, environment=environment),), entries)


def export_image(cache: Path, name: str) -> Path:
    """Exports an image from buildah as an archive with the name GPUNODE."""
    digest = run("buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", name).strip()
    folder = cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".built.lock"):
        path = folder / f"built-{digest[:16]}.tar"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            unfinished.unlink(missing_ok=True)
            run("buildah", "push", "--quiet", name, f"docker-archive:{unfinished}:{GPUNODE}", seconds=EXPORT_S)
            unfinished.replace(path)
            _remove_old_archives(folder, "built")
    return path


def busybox_entries() -> Iterator[Entry]:
    yield Entry(path="bin/busybox", content=BUSYBOX, executable=True)
    yield Entry(path="tmp/.keep")
    yield Entry(path="etc/passwd", content=b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    for applet in run(str(BUSYBOX), "--list").split():
        if applet != "busybox":
            yield Entry(path=f"bin/{applet}", link="busybox")


def python_entries() -> Iterator[Entry]:
    """The interpreter, the standard library, and the shared libraries that they and the installed packages load."""
    standard = Path(sysconfig.get_path("stdlib"))
    files = [path for path in _tree(standard) if not path.relative_to(standard).parts[0].startswith("config-")]
    packages = Path(sysconfig.get_path("platlib"))
    interpreter = Path(sys.executable).resolve()
    loaded = [interpreter, *(path for path in (*files, *_tree(packages)) if ".so" in path.suffixes)]
    libraries = {path for path in shared_libraries(loaded) if not path.is_relative_to(packages)}
    for path in {interpreter, *files, *libraries}:
        yield Entry(path=str(path).lstrip("/"), content=path, executable=path == interpreter or path in libraries)


def package_entries() -> Iterator[Entry]:
    """The files of the installed packages in requirements.lock."""
    for name in locked_names((ROOT / "requirements.lock").read_text()):
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # the lock also contains packages for other systems
            continue
        for file in installed.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield Entry(path=f"{HOME}/lib/{file}", content=Path(str(installed.locate_file(file))))


def project_entries() -> Iterator[Entry]:
    for package in PACKAGES:
        for path in _tree(ROOT / package):
            yield Entry(path=f"{HOME}/lib/{path.relative_to(ROOT)}", content=path)
    installed = distribution("gpunode")
    metadata = f"Metadata-Version: 2.4\nName: gpunode\nVersion: {installed.version}\n"
    yield Entry(path=f"{HOME}/lib/gpunode-{installed.version}.dist-info/METADATA", content=metadata.encode())
    yield Entry(path=f"{HOME}/bin/python3", link=str(Path(sys.executable).resolve()))
    for name, target in PROJECT["project"]["scripts"].items():
        module, _, function = target.partition(":")
        text = f"#!{Path(sys.executable).resolve()}\nfrom {module} import {function}\n{function}()\n"
        yield Entry(path=f"{HOME}/bin/{name}", content=text.encode(), executable=True)


def locked_names(lock: str) -> list[str]:
    return re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)


def shared_libraries(files: Iterable[Path]) -> set[Path]:
    """The shared libraries that files load, according to ldd(1)."""
    return parse_ldd(run("ldd", *map(str, files), check=False))


def parse_ldd(text: str) -> set[Path]:
    """Parses `name => /path (0x…)` and `/path (0x…)`. The kernel's library has no path."""
    return {Path(path) for path in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", text, re.MULTILINE)}


def _tree(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not EXCLUDED.intersection(path.relative_to(folder).parts):
            yield path


def cached_archive(cache: Path, name: str, images: Iterable[Image], entries: list[Entry]) -> Path:
    """Writes the archive unless it exists. Retains the newest archives, because another run may import one."""
    folder = cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{name}.lock"):
        path = folder / f"{name}-{_digest(repr(images), entries)}.tar"
        if not path.exists():
            write_archive(path, images, entries)
            _remove_old_archives(folder, name)
    return path


def _remove_old_archives(folder: Path, name: str) -> None:
    for older in sorted(folder.glob(f"{name}-*.tar"), key=lambda each: each.stat().st_mtime)[:-MAX_ARCHIVES]:
        older.unlink()


def _digest(image_text: str, entries: Iterable[Entry]) -> str:
    digest = hashlib.sha256(image_text.encode())
    for entry in sorted(entries, key=lambda each: each.path):
        content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
        digest.update(repr((entry.path, entry.link, entry.executable, hashlib.sha256(content).digest())).encode())
    return digest.hexdigest()[:16]
