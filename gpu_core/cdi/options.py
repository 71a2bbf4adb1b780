"""The settings that CDI specifications depend on."""

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from gpu_core.cdi.hook_program import WORDS
from gpu_core.cdi.roots import Roots

EXPLICIT_LIBRARIES = "enable-explicit-driver-libraries"
NO_GIDS = "no-additional-gids-for-device-nodes"
NO_IPC = "disable-ipc-discoverer"
_COHERENT = "enable-coherent-annotations"
FEATURE_FLAGS = (
    NO_IPC, "disable-multiple-csv-devices", "disable-nvsandboxutils", "disable-nvsandbox-utils", _COHERENT, EXPLICIT_LIBRARIES, NO_GIDS,
)  # fmt: skip
"""NVIDIA's feature flags. Specifications never depend on the features that three of the flags disable."""
HOOK_NAMES = ("all", "chmod", *sorted(word for word in WORDS if not word.startswith("--")))
"""The names that disabled hooks may have. Specifications never contain the hook `chmod`."""


class CdiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """hook_path, hook_words, hook_reason: see HookProgram. disabled_hooks: names, or `all`.

    groups_reason: why the container runtime cannot read the groups of device nodes, or None. feature_flags: NVIDIA's names; unknown names
    have no effect. imex_channels: channel numbers. has_mig_parents: also a GPU in MIG mode has a device, for containers that monitor it.
    """

    roots: Roots
    id_strategy: Literal["uuid", "index"] = "uuid"
    hook_path: str | None = None
    hook_words: frozenset[str] = WORDS
    hook_reason: str | None = None
    disabled_hooks: Collection[str] = frozenset()
    groups_reason: str | None = None
    feature_flags: Collection[str] = frozenset()
    imex_channels: tuple[int, ...] = ()
    gdrcopy: bool = False
    gds: bool = False
    mofed: bool = False
    has_mig_parents: bool = False


def option_notes(feature_flags: Collection[str], disabled_hooks: Collection[str]) -> Iterator[str]:
    """Yields a sentence for each name that has no effect."""
    for flag, names, known in (
        ("--cdi-feature-flags", feature_flags, FEATURE_FLAGS),
        ("--cdi-disable-hooks", disabled_hooks, HOOK_NAMES),
    ):
        if unknown := sorted(set(names) - set(known)):
            yield f"{flag}: {', '.join(unknown)} is not known and has no effect. Known names: {', '.join(known)}."
    if _COHERENT in feature_flags:
        yield f"--cdi-feature-flags: {_COHERENT} has no effect, because the specifications have no annotations."
