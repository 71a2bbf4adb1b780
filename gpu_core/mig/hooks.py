"""The hooks file of NVIDIA's mig-parted, version v1: commands that run around a change of layouts. PURE.

Source: mig-parted README, "Hooks". Unknown keys are errors.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node_core.decode import decode_struct


class HookPoint(StrEnum):
    """When hooks run: before everything, before the MIG mode changes, before instances change, and at the end, also after a failure."""

    APPLY_START = "apply-start"
    PRE_APPLY_MODE = "pre-apply-mode"
    PRE_APPLY_CONFIG = "pre-apply-config"
    APPLY_EXIT = "apply-exit"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A command. workdir: its working directory; None for the present one. command: a path, or a name in PATH. envs: more variables."""

    command: str
    workdir: str | None = None
    args: tuple[str, ...] = ()
    envs: Mapping[str, str] = msgspec.field(default_factory=dict)


Hooks = Mapping[HookPoint, tuple[Hook, ...]]
"""The hooks of each point, in order of execution. A point without hooks has no entry."""

_Command = Annotated[str, Meta(min_length=1)]


class _Hook(msgspec.Struct, frozen=True, kw_only=True):
    command: _Command
    workdir: str | None = None
    args: list[str] = []
    envs: dict[str, str] = {}


class _Points(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    apply_start: list[_Hook] = []
    pre_apply_mode: list[_Hook] = []
    pre_apply_config: list[_Hook] = []
    apply_exit: list[_Hook] = []


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal["v1"]
    hooks: _Points


def decode_hooks(data: Any, *, source: str) -> Hooks:
    """Decodes the content of a hooks file. source: the name of the file in problems. Raises SettingsError with all problems."""
    points = decode_struct(data, _File, source=source).hooks
    found = {point: getattr(points, point.value.replace("-", "_")) for point in HookPoint}
    return {point: tuple(map(_parse_hook, hooks)) for point, hooks in found.items() if hooks}


def _parse_hook(hook: _Hook) -> Hook:
    return Hook(command=hook.command, workdir=hook.workdir or None, args=tuple(hook.args), envs=hook.envs)
