"""What must happen to the driver of a node before a driver container starts. PURE."""

from dataclasses import dataclass
from enum import StrEnum

from driver_manager.modules import Module


class Action(StrEnum):
    """STOP: the host has a driver of its own. CLEAN: no driver is loaded. SKIP: the wanted driver is loaded. REPLACE: another one is."""

    STOP = "stop"
    CLEAN = "clean"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """The driver of a node. host_driver: see find_host_driver. modules: the loaded ones, in the order of unloading.

    version: of the loaded module nvidia; None without the module. digest: of the configuration that the last driver container has
    installed; None if no container has recorded one. has_nouveau: the kernel's own driver for NVIDIA GPUs is loaded.
    """

    host_driver: str | None = None
    modules: tuple[Module, ...] = ()
    version: str | None = None
    digest: str | None = None
    has_nouveau: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDriver:
    """The driver of the driver container. digest: of its configuration; empty if unknown. version: a version, a branch, or empty.

    is_forced: the driver is replaced also by an equal one.
    """

    digest: str = ""
    version: str = ""
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """why: a clause for the log."""

    action: Action
    why: str


def plan_driver(facts: DriverFacts, wanted: WantedDriver) -> Plan:
    """Returns what must happen."""
    if facts.host_driver is not None:
        return Plan(action=Action.STOP, why=f"the host has a driver of its own: {facts.host_driver}")
    if not facts.modules:
        return Plan(action=Action.CLEAN, why="no module of the driver is loaded")
    difference = _find_difference(facts, wanted)
    if difference is not None:
        return Plan(action=Action.REPLACE, why=difference)
    return Plan(action=Action.SKIP, why=f"the driver {facts.version} with the wanted configuration is loaded already")


def _find_difference(facts: DriverFacts, wanted: WantedDriver) -> str | None:
    """Returns why the loaded driver is not the wanted one, or None if it is."""
    reasons = (
        (wanted.is_forced, "FORCE_REINSTALL is set"),
        (not wanted.digest, "DRIVER_CONFIG_DIGEST is not set, so the loaded driver cannot be compared"),
        (facts.digest is None, "no driver container has recorded the configuration of the loaded driver"),
        (facts.digest != wanted.digest, "the configuration of the driver has changed"),
        (facts.version is None, "the driver is loaded only in part"),
        (
            not is_version_of(facts.version or "", wanted.version),
            f"the loaded driver has version {facts.version}, not {wanted.version}",
        ),
    )
    return next((why for is_reason, why in reasons if is_reason), None)


def is_version_of(version: str, wanted: str) -> bool:
    """Whether a version is the wanted one, or belongs to the wanted branch: `580.65.06` belongs to `580`. Empty: any version."""
    return not wanted or version == wanted or version.startswith(f"{wanted}.")
