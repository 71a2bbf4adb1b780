"""A container runtime of a node, and whether pods get GPUs from it by CDI. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Value = bool | str | tuple[str, ...]
Values = Mapping[str, Value]
"""Key of a table -> value."""
Wanted = Mapping[tuple[str, ...], Values]
"""Path of a table below the one of the CRI plugin, or of CRI-O's runtime -> the values that it must have."""
NVIDIA = "nvidia"
"""The handler of NVIDIA's runtime, and the name of its RuntimeClass."""


class Kind(StrEnum):
    """The runtimes, by the name that they report to the kubelet."""

    CONTAINERD = "containerd"
    CRI_O = "cri-o"
    DOCKER = "docker"


class Reason(StrEnum):
    """What the state of the runtime is."""

    READY = "CDIReady"
    LEGACY = "NVIDIARuntime"
    SWITCH_MISSING = "SettingMissing"
    MANUAL = "ChangeByHand"
    IMPOSSIBLE = "CDINotSupported"
    RESTART_NEEDED = "RestartNeeded"
    REFUSED = "ChangeFailed"
    READ_ONLY = "ReadOnlyHost"
    UNKNOWN = "RuntimeUnknown"
    NOT_FOUND = "RuntimeNotFound"
    REVERTED = "Reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process that listens on the socket of the runtime. identity: other after a restart. command: its arguments.

    program: the path of its executable on the host. unit: the systemd unit, or None.
    """

    identity: str
    command: tuple[str, ...]
    program: str
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cdi:
    """The CDI settings that a runtime runs with. is_enabled: None if the runtime has no such setting."""

    is_enabled: bool | None
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """name: that the runtime reports; kind: None for an unknown one. cdi: None if the settings are not known. process: None if not known.

    config: the path of the main config file. handlers: the runtimes that it can start containers with. has_systemd_cgroups: of its default
    handler, as far as known. problem: why the runtime is not ready, as it reports, or None.
    """

    name: str
    version: str
    socket: str
    config: str
    cdi: Cdi | None
    process: Process | None = None
    handlers: frozenset[str] = frozenset()
    has_systemd_cgroups: bool | None = None
    problem: str | None = None

    @property
    def kind(self) -> Kind | None:
        return Kind(self.name) if self.name in set(Kind) else None

    @property
    def identity(self) -> str | None:
        """Of its process; None if that is not known."""
        return None if self.process is None else self.process.identity

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """message: a sentence. wanted: the settings that are missing, for SWITCH_MISSING. is_changed: gpu-toolkit has just changed this."""

    reason: Reason
    message: str
    wanted: Wanted | None = None
    is_changed: bool = False

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to do anything."""
        return self.reason in (Reason.READY, Reason.LEGACY, Reason.REVERTED)
