"""NVIDIA's config file, version v1, shared by gfd and gpu-device-plugin (k8s-device-plugin README, "Configuration").

Unknown keys are errors, so that no setting is silently ignored.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import click
import msgspec
from msgspec import Meta

from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.health import HealthPolicy
from gpu_core.domain.sharing import Sharing
from gpu_core.domain.xid import XidClass, XidPolicy
from gpu_core.settings.nvidia_devices import DeviceSections, parse_device_rules
from gpu_core.settings.nvidia_settings import DestinationFlags, GfdFlags, GpuSettings, PluginFlags
from gpu_core.settings.nvidia_sharing import SharingSection, parse_or_report, parse_sharing
from node_core.decode import decode_struct
from node_core.domain.duration import parse_duration
from node_core.errors import SettingsError
from node_core.runtime.config_file import config_option
from node_core.runtime.setting import file_struct, settings_of, values_in
from node_core.runtime.settings import PublishSettings
from node_core.values import replace

Section = Literal["gfd", "plugin"]
STRATEGIES = ("timeSlicing", "mps")
PREMIUM_REMOVED = (
    "premium: rules for GPUs are NodeFeatureRules now, see docs/how-to/taint-premium-gpus.md: match the feature node.label, for example "
    "{feature: node.label, matchExpressions: {nvidia.com/gpu.product: {op: InRegexp, value: [H100]}}}, give the rule the same "
    "taints and labels, and run nfd-lite with --enable-taints"
)

_SETTINGS: dict[Section | None, tuple[type, ...]] = {
    None: (GpuSettings,),
    "gfd": (GfdFlags, PublishSettings, DestinationFlags),
    "plugin": (PluginFlags,),
}
_EVERY = tuple(each for classes in _SETTINGS.values() for cls in classes for each in settings_of(cls))
_FLAGS = file_struct("flags", _EVERY, failOnInitError=bool | None)
"""The section `flags`. failOnInitError has no effect: the agents never exit because of the state of the node."""
_IMEX = file_struct("imex", _EVERY)


class HealthSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The section health. xids: overrides the classes of domain.xid. holdDown: a duration string, or seconds."""

    xids: dict[Annotated[int, Meta(ge=1)], XidClass] = {}
    hold_down: str | int | float | None = None


class _Sections(DeviceSections, msgspec.Struct, frozen=True, kw_only=True):
    """All sections except flags and imex. devices, reserved, pools and health are extensions of this project."""

    version: Literal["v1"] = "v1"
    sharing: SharingSection = SharingSection()
    health: HealthSection = HealthSection()


_File: Any = msgspec.defstruct(
    "NvidiaFile", [("flags", _FLAGS, _FLAGS()), ("imex", _IMEX, _IMEX())], bases=(_Sections,), frozen=True, kw_only=True
)
SECTIONS: tuple[str, ...] = _File.__struct_fields__
"""The keys at the top level of the file."""


class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The decoded sections of the file, without flags. health: without the Xids of the environment."""

    sharing: Sharing | None = None
    rules: DeviceRules = msgspec.field(default_factory=DeviceRules)
    health: HealthPolicy = msgspec.field(default_factory=HealthPolicy)

    def health_policy(self, xids: XidPolicy, *, polled: bool) -> HealthPolicy:
        """The policy of file and environment. xids, polled: of the environment."""
        return replace(self.health, xids=replace(xids, classes=self.health.xids.classes), polled=polled)


def decode_nvidia_config(
    data: Any, sections: Sequence[Section], *, source: str
) -> tuple[NvidiaConfig, dict[str, Any], tuple[str, ...]]:
    """Decodes the file: its sections, the values by name for the settings of these agents, and notes. Raises SettingsError.

    data: the content of the file. source: the name of the file in problems.
    """
    if isinstance(data, dict) and "premium" in data:
        raise SettingsError([f"{source}: {PREMIUM_REMOVED}"])
    file = decode_struct(_without_empty_sections(data), _File, source=source)
    problems: list[str] = []
    config = NvidiaConfig(
        sharing=parse_sharing(file.sharing, problems),
        rules=parse_device_rules(file, problems),
        health=_parse_health(file.health, problems),
    )
    if problems := problems or list(_name_problems(config)):
        raise SettingsError([f"{source}: {problem}" for problem in problems])
    return config, _values(file, sections), ()


def nvidia_config_option(*sections: Section) -> click.Option:
    """The option --config-file of these agents."""
    return config_option(
        "--config-file",
        name="nvidia_config",
        env=["GFD_CONFIG_FILE", "CONFIG_FILE"] if "gfd" in sections else ["CONFIG_FILE"],
        load=lambda data, source: decode_nvidia_config(data, sections, source=source),
    )


def _values(file: Any, sections: Sequence[Section]) -> dict[str, Any]:
    classes = [cls for section, each in _SETTINGS.items() if section is None or section in sections for cls in each]
    declared = list(settings_of(*classes))
    if "gfd" not in sections:
        declared = [each for each in declared if not any(key.startswith("flags.gfd.") for key in each.keys)]
    values = values_in(file.flags, "flags", declared) | values_in(file.imex, "imex", declared)
    if isinstance(strategy := values.get("device_list_strategy"), str):
        values["device_list_strategy"] = [strategy]
    return values


def _without_empty_sections(data: Any) -> Any:
    """Removes an empty version, and empty sharing strategies: NVIDIA's programs print such a config when they start."""
    if not isinstance(data, dict):
        return data
    found = {key: value for key, value in data.items() if (key, value) != ("version", "")}
    if isinstance(sharing := found.get("sharing"), dict):
        found["sharing"] = {key: value for key, value in sharing.items() if value != {} or key not in STRATEGIES}
    return found


def _name_problems(config: NvidiaConfig) -> Iterator[str]:
    """Yields a problem for each shared resource whose new name is the name of a pool or of other devices."""
    rules = config.rules
    owners = {pool.resource: "a pool" for pool in rules.pools}
    owners |= {each.resource: "other devices in resources" for each in (*rules.names.gpus, *rules.names.mig)}
    for shared in config.sharing.resources if config.sharing else ():
        if shared.is_renamed and (owner := owners.get(shared.advertised)) is not None:
            yield f"sharing: {shared.resource} is advertised as {shared.advertised}, which is the name of {owner}"


def _parse_health(section: HealthSection, problems: list[str]) -> HealthPolicy:
    policy = HealthPolicy(xids=XidPolicy(classes=section.xids))
    given = section.hold_down
    if given is None:
        return policy
    hold_down = parse_or_report("health.holdDown", lambda: _finite(given), problems)
    return policy if hold_down is None else replace(policy, hold_down=hold_down)


def _finite(text: str | float) -> float:
    """Raises ValueError."""
    if text == "infinite":
        raise ValueError("infinite would prevent the return of GPUs. Use a duration such as 60s.")
    return parse_duration(text)
