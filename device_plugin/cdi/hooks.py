"""The hooks of NVIDIA's container toolkit, where the host has it, and what is missing in a container without them.

Source: `nvidia-ctk hook --help`.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from device_plugin.cdi.options import CdiOptions
from node_core.domain.cdi import HookEdit

LINKS = "create-symlinks"
COMPAT = "enable-cuda-compat"
LDCACHE = "update-ldcache"
NO_NODES = "disable-device-node-modification"
PROFILE = "update-application-profile"

_WITHOUT = {
    COMPAT: "an image's own CUDA forward compatibility libraries are not used",
    LDCACHE: "an image whose loader looks in none of the libraries' folders does not find them",
    NO_NODES: "the driver may try to make nodes of other GPUs in a container, which the runtime's device rules keep from being used",
    PROFILE: "EGL and Vulkan may list GPUs that the container does not have",
}


def has_hook(options: CdiOptions, name: str) -> bool:
    return options.hook_path is not None and not {name, "all"} & set(options.disabled_hooks)


def hook(options: CdiOptions, name: str, *args: str) -> tuple[HookEdit, ...]:
    """One or none."""
    if options.hook_path is None or not has_hook(options, name):
        return ()
    program = PurePosixPath(options.hook_path).name
    argv = (program, *(["hook"] if program == "nvidia-ctk" else []), name, *args)
    return (HookEdit(path=options.hook_path, args=argv, env=("NVIDIA_CTK_DEBUG=false",)),)


def link_hook(options: CdiOptions, links: Iterable[tuple[str, str]]) -> tuple[HookEdit, ...]:
    """links: what a link says and where it is."""
    args = [word for target, link in links for word in ("--link", f"{target}::{link}")]
    return hook(options, LINKS, *args) if args else ()


def folder_hook(options: CdiOptions, folders: Iterable[str]) -> tuple[HookEdit, ...]:
    args = [word for folder in folders for word in ("--folder", folder)]
    return hook(options, LDCACHE, *args) if args else ()


def missing_note(options: CdiOptions, used: Iterable[str]) -> tuple[str, ...]:
    """used: the hooks that a platform's specs have. One sentence, or none."""
    missing = [f"{_WITHOUT[name]} ({name})" for name in used if name in _WITHOUT and not has_hook(options, name)]
    if not missing:
        return ()
    why = "there is no hook program on the host" if options.hook_path is None else "they are disabled"
    return (f"CDI specs are without some hooks, because {why}: {'; '.join(missing)}.",)
