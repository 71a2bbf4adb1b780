"""The driver's libraries in containers."""

from pathlib import PurePosixPath

import pytest

from gpu_core.cdi.hook_program import LDCACHE, LINKS
from tests.gpu_core.cdi.conftest import CTK, LoadNode
from tests.gpu_core.cdi.specs import gpu_spec

LINUX = ["debian", "rhel", "gke-cos", "talos", "k3s", "opt", "nixos", "debian-12", "ubuntu-24.04", "driver-container"]


DEFAULT_FOLDERS = {
    "Debian": ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib", "/lib"),
    "RHEL": ("/usr/lib64", "/lib64"),
}
"""The folders that the loaders of these machines search without a cache. Source: `ld.so --help`, system search path."""


@pytest.mark.parametrize("image", DEFAULT_FOLDERS)
@pytest.mark.parametrize("name", LINUX)
def test_without_hooks_libraries_are_in_the_default_folders_of_loaders(
    name: str, image: str, load_node: LoadNode
) -> None:
    places = {mount.container_path for mount in gpu_spec(load_node(name).plan()).edits.mounts}
    for wanted in ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4"):
        assert {f"{folder}/{wanted}" for folder in DEFAULT_FOLDERS[image]} & places, wanted
    assert {"/usr/bin/nvidia-smi", "/usr/local/bin/nvidia-smi"} & places


@pytest.mark.parametrize("name", LINUX)
def test_with_hooks_the_folder_of_each_mounted_library_enters_the_loader_cache(name: str, load_node: LoadNode) -> None:
    spec = gpu_spec(load_node(name).with_options(hook_path=CTK).plan())
    (hook,) = (hook for hook in spec.edits.hooks if LDCACHE in hook.args)
    libraries = [
        PurePosixPath(mount.container_path) for mount in spec.edits.mounts if "/xorg/" not in mount.container_path
    ]
    assert {str(path.parent) for path in libraries if path.name.startswith("lib")} <= set(hook.args)


def test_without_the_link_hook_all_names_are_mounted_and_the_cache_is_updated(load_node: LoadNode) -> None:
    spec = gpu_spec(load_node("debian").with_options(hook_path=CTK, disabled_hooks={LINKS}).plan())
    places = {mount.container_path for mount in spec.edits.mounts}
    assert "/usr/lib/x86_64-linux-gnu/libcuda.so.1" in places
    assert not any(place.startswith("/usr/lib64/") for place in places)
