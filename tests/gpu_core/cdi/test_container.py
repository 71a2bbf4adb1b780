"""With a specification without hooks, a program in a container loads the driver.

The root is like Debian's: merged /usr, multiarch folders.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from gpu_core.cdi.roots import Roots
from gpu_core.domain.cdi import MountEdit
from gpu_core.host.driver_files import read_driver_files
from gpu_core.host.elf import elf_machine
from node_core.host.root import HostRoot
from tests.exhaustive import params
from tests.gpu_core.cdi.conftest import LoadNode
from tests.gpu_core.cdi.specs import gpu_spec
from tests.nvml.build import IN_CI

LIBRARY = "int driver(void) { return 550; }"
PROGRAM = """
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *by_soname = dlopen("libcuda.so.1", RTLD_NOW), *by_name = dlopen("libcuda.so", RTLD_NOW);
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!by_soname || !by_name || !nvml) return puts(dlerror());
    printf("driver %d, loaded %s\\n", ((int (*)(void))dlsym(nvml, "driver"))(), by_soname == by_name ? "once" : "twice");
    return 0;
}
"""
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
C_LIBRARY = Path("/lib/x86_64-linux-gnu/libc.so.6")

can_make_containers = (
    os.geteuid() == 0
    and shutil.which("gcc") is not None
    and platform.machine() == "x86_64"
    and LOADER.exists()
    and C_LIBRARY.exists()
    and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
)
pytestmark = pytest.mark.skipif(not can_make_containers and not IN_CI, reason="needs root, gcc and Debian's C library")


def compile_into(path: Path, code: str, *options: str) -> None:
    path.chmod(0o755)
    subprocess.run(["gcc", "-x", "c", "-", "-o", path, *options], input=code, text=True, check=True)


def make_driver_real(root: Path) -> None:
    """Replaces the two libraries and the program by executable code."""
    for path in root.rglob("lib*.so.[0-9]*.*"):
        stem = path.name.partition(".so")[0]
        if stem in ("libcuda", "libnvidia-ml") and not path.is_symlink() and elf_machine(path):
            compile_into(path, LIBRARY, "-shared", "-fPIC", f"-Wl,-soname,{stem}.so.1")
    for path in root.rglob("nvidia-smi"):
        if not path.is_symlink():
            compile_into(path, PROGRAM, "-ldl")


def make_image(root: Path) -> Path:
    for folder in (LOADER.parent, C_LIBRARY.parent):
        (root / "usr" / folder.relative_to("/")).mkdir(parents=True)
    for name in ("lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for path in (LOADER, C_LIBRARY, C_LIBRARY.with_name("libdl.so.2")):
        shutil.copy(path, root / "usr" / path.relative_to("/"))
    return root


def mount_commands(mounts: tuple[MountEdit, ...], root: Path) -> str:
    """Mounts the files as a container runtime does: in order, after creating the mount points."""
    lines = ["set -e"]
    for mount in mounts:
        place = root / mount.container_path.lstrip("/")
        make = f"mkdir -p {place}" if Path(mount.host_path).is_dir() else f"touch {place}"
        lines.append(f"mkdir -p {place.parent}; {make}; mount --bind {mount.host_path} {place}")
    return "\n".join(lines)


@pytest.mark.parametrize("name", params(["debian", "rhel", "gke-cos", "talos"]))
def test_nvidia_smi_loads_its_libraries_without_a_loader_cache_and_without_environment(
    name: str, load_node: LoadNode, tmp_path: Path
) -> None:
    node = load_node(name)
    make_driver_real(node.root)
    assert read_driver_files(node.root, HostRoot(tmp_path / "host")).libraries == node.driver.libraries
    image = make_image(tmp_path / "image")
    spec = gpu_spec(node.with_options(roots=Roots(driver=str(node.root))).plan())
    smi = next(mount.container_path for mount in spec.edits.mounts if mount.container_path.endswith("/nvidia-smi"))
    script = f"{mount_commands(spec.edits.mounts, image)}\nexec env -i {shutil.which('chroot')} {image} {smi}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("driver 550, loaded once\n", "")
