"""The hooks of NVIDIA's container toolkit, and the effects if the host does not have them. Source: `nvidia-ctk hook --help`.

A hook is written with the flags that it needs: `enable-cuda-compat --host-cuda-version`.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from gpu_core.cdi.hook_program import COMPAT, HOST_CUDA, HOST_DRIVER, LDCACHE, LINKS, NO_NODES, NO_PROGRAM, PROFILE
from gpu_core.cdi.options import CdiOptions
from gpu_core.domain.cdi import HookEdit

COMPAT_BY_DRIVER = f"{COMPAT} {HOST_DRIVER}"
COMPAT_BY_CUDA = f"{COMPAT} {HOST_CUDA}"

_EFFECT_WITHOUT = {
    COMPAT: "CUDA forward compatibility libraries in an image are not used",
    LDCACHE: "images whose loader does not search the usual library folders cannot load the driver's libraries",
    NO_NODES: "the driver may create device nodes of other GPUs in a container, although the container cannot open them",
    PROFILE: "EGL and Vulkan may list GPUs that the container does not have",
}


def has_hook(options: CdiOptions, hook: str) -> bool:
    return (
        options.hook_path is not None
        and options.hook_words.issuperset(hook.split())
        and not _is_disabled(options, hook)
    )


def hook(options: CdiOptions, name: str, *args: str) -> tuple[HookEdit, ...]:
    """Returns the hook; an empty tuple if the hook, or a flag in args of the form `--flag=value`, is not available."""
    flags = (arg.partition("=")[0] for arg in args if arg.startswith("--") and "=" in arg)
    if options.hook_path is None or not has_hook(options, " ".join((name, *flags))):
        return ()
    program = PurePosixPath(options.hook_path).name
    argv = (program, *(["hook"] if program.lstrip(".").startswith("nvidia-ctk") else []), name, *args)
    return (HookEdit(path=options.hook_path, args=argv, env=("NVIDIA_CTK_DEBUG=false",)),)


def link_hook(options: CdiOptions, links: Iterable[tuple[str, str]]) -> tuple[HookEdit, ...]:
    """links: pairs of target and link path."""
    args = [word for target, link in links for word in ("--link", f"{target}::{link}")]
    return hook(options, LINKS, *args) if args else ()


def missing_notes(options: CdiOptions, used: Iterable[str]) -> Iterator[str]:
    """Yields a sentence for each reason why hooks are not available. used: the hooks of the platform's specifications."""
    missing: dict[str, list[str]] = {}
    for each in used:
        name = each.split()[0]
        if name in _EFFECT_WITHOUT and not has_hook(options, each):
            missing.setdefault(_reason(options, each), []).append(f"{_EFFECT_WITHOUT[name]} ({name})")
    for why, effects in missing.items():
        yield f"CDI specifications omit some hooks, because {why}: {'; '.join(effects)}."


def _reason(options: CdiOptions, hook: str) -> str:
    if options.hook_path is not None and _is_disabled(options, hook):
        return "they are disabled"
    return options.hook_reason or (
        NO_PROGRAM if options.hook_path is None else f"{options.hook_path} does not have them"
    )


def _is_disabled(options: CdiOptions, hook: str) -> bool:
    return not {hook.split(maxsplit=1)[0], "all"}.isdisjoint(options.disabled_hooks)
