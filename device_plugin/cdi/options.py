"""What a node's administrator chose about CDI."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from device_plugin.cdi.roots import Roots

EXPLICIT_LIBRARIES = "enable-explicit-driver-libraries"
NO_GIDS = "no-additional-gids-for-device-nodes"
NO_IPC = "disable-ipc-discoverer"


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiOptions:
    """hook_path: of `nvidia-ctk` or `nvidia-cdi-hook` on the host; None where there is none. disabled_hooks: names, or `all`.

    feature_flags: NVIDIA's names; those that mean nothing here are ignored. imex_channels: channel numbers.
    """

    roots: Roots
    id_strategy: Literal["uuid", "index"] = "uuid"
    hook_path: str | None = None
    disabled_hooks: Collection[str] = frozenset()
    feature_flags: Collection[str] = frozenset()
    imex_channels: tuple[int, ...] = ()
    gdrcopy: bool = False
    gds: bool = False
    mofed: bool = False
