"""NVIDIA's config file, version v1, shared by gfd and gpu-device-plugin (k8s-device-plugin README, "Configuration").

Keys that are not written here are errors: a setting that would silently do nothing is worse than a refusal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import click
import msgspec
from msgspec import Meta

from node_core.decode import decode_struct
from node_core.domain.duration import parse_interval
from node_core.domain.health import HealthPolicy
from node_core.domain.premium import PremiumRule
from node_core.domain.sharing import Sharing, SharingStrategy
from node_core.domain.xid import XidClass, XidPolicy
from node_core.errors import SettingsError
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import Options, bool_option, config_option, options
from node_core.runtime.nvidia_devices import (
    DeviceSections,
    DevicesSection,
    PoolEntry,
    ReservedEntry,
    ResourcesSection,
    device_problems,
    plan_rules,
)
from node_core.runtime.nvidia_sharing import SharingSection, sharing_problems, sharing_ways, to_shared


class GfdFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.gfd. sleepInterval: a duration string, or seconds."""

    oneshot: bool | None = None
    no_timestamp: bool | None = None
    sleep_interval: str | int | float | None = None
    output_file: str | None = None
    machine_type_file: str | None = None


class PluginFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.plugin. migDevicesAllocationPolicy: ours, not NVIDIA's."""

    container_driver_root: str | None = None
    pass_device_specs: bool | None = None
    cdi_annotation_prefix: str | None = None
    nvidia_ctk_path: str | None = msgspec.field(default=None, name="nvidiaCTKPath")
    shared_devices_allocation_policy: str | None = None
    mig_devices_allocation_policy: str | None = None
    device_list_strategy: str | list[str] | None = None
    device_id_strategy: str | None = msgspec.field(default=None, name="deviceIDStrategy")


class Flags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags. failOnInitError is taken and has no effect: these agents never exit because of what is on the node."""

    mig_strategy: str | None = None
    fail_on_init_error: bool | None = None
    device_discovery_strategy: str | None = None
    mps_root: str | None = None
    nvidia_driver_root: str | None = None
    nvidia_dev_root: str | None = None
    gdrcopy_enabled: bool | None = None
    gds_enabled: bool | None = None
    mofed_enabled: bool | None = None
    use_node_feature_api: bool | None = msgspec.field(default=None, name="useNodeFeatureAPI")
    plugin: PluginFlags = PluginFlags()
    gfd: GfdFlags = GfdFlags()


class ImexSection(msgspec.Struct, frozen=True, kw_only=True):
    """imex. channelIDs: none, or channel 0, the only one that a device plugin can give out."""

    channel_ids: list[Literal[0]] | None = msgspec.field(default=None, name="channelIDs")
    required: bool | None = None


class HealthSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """health. xids: what each asks for on this node, over the table of domain.xid. holdDown: a duration string, or seconds."""

    xids: dict[Annotated[int, Meta(ge=1)], XidClass] = {}
    hold_down: str | int | float | None = None


class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. devices, reserved, pools, premium and health: ours, not NVIDIA's; see nvidia_devices and domain."""

    version: Literal["v1"] = "v1"
    flags: Flags = Flags()
    sharing: SharingSection = SharingSection()
    resources: ResourcesSection = ResourcesSection()
    imex: ImexSection = ImexSection()
    devices: DevicesSection = DevicesSection()
    reserved: list[ReservedEntry] = []
    pools: list[PoolEntry] = []
    premium: list[PremiumRule] = []
    health: HealthSection = HealthSection()

    @property
    def device_sections(self) -> DeviceSections:
        return DeviceSections(resources=self.resources, devices=self.devices, reserved=self.reserved, pools=self.pools)


Section = Literal["gfd", "plugin"]

PLUGIN_FLAGS = ("mps_root", "nvidia_driver_root", "nvidia_dev_root", "gdrcopy_enabled", "gds_enabled", "mofed_enabled")
"""Of `flags`, those for the device plugin alone."""


def without_nulls(data: Any) -> Any:
    """A section, or a section of `flags`, with nothing after its key is one that is not there, as Go's decoder has it."""
    if not isinstance(data, dict):
        return data
    present = {key: value for key, value in data.items() if value is not None}
    if isinstance(flags := present.get("flags"), dict):
        present["flags"] = {key: value for key, value in flags.items() if value is not None}
    return present


def decode_nvidia_config(data: Any, sections: Sequence[Section], *, source: str) -> tuple[NvidiaConfig, dict[str, Any]]:
    """The file and what it says for the options of these agents, by parameter name. Raises SettingsError with every problem.

    data: what the file holds. source: what to call it in problems.
    """
    config = decode_struct(without_nulls(data), NvidiaConfig, source=source)
    problems = [*sharing_problems(config.sharing), *device_problems(config.device_sections)]
    problems += health_problems(config.health)
    if problems := problems or list(_name_problems(config)):
        raise SettingsError([f"{source}: {problem}" for problem in problems])
    return config, {name: value for name, value in _said(config, sections).items() if value not in (None, "")}


def _said(config: NvidiaConfig, sections: Sequence[Section]) -> dict[str, Any]:
    """Parameter name -> value, None or empty where the file does not say."""
    flags = msgspec.structs.asdict(config.flags)
    said = {name: flags[name] for name in ("mig_strategy", "device_discovery_strategy")}
    said["driver_root"] = config.flags.plugin.container_driver_root
    if "gfd" in sections:
        said |= {"use_node_feature_api": flags["use_node_feature_api"], **msgspec.structs.asdict(config.flags.gfd)}
    if "plugin" in sections:
        said |= {name: flags[name] for name in PLUGIN_FLAGS} | _said_of_plugin(config)
    return said


def _said_of_plugin(config: NvidiaConfig) -> dict[str, Any]:
    said = msgspec.structs.asdict(config.flags.plugin)
    del said["container_driver_root"]
    if isinstance(strategy := said["device_list_strategy"], str):
        said["device_list_strategy"] = [strategy] if strategy else None
    return said | {"imex_channel_ids": config.imex.channel_ids, "imex_required": config.imex.required}


def _name_problems(config: NvidiaConfig) -> Iterator[str]:
    """A shared resource that takes the name of a pool, or of other devices, that it is not."""
    sharing, rules = plan_sharing(config.sharing), plan_rules(config.device_sections)
    taken = {pool.resource: "of a pool" for pool in rules.pools}
    taken |= {each.resource: "that resources gives other devices" for each in (*rules.names.gpus, *rules.names.mig)}
    for shared in sharing.resources if sharing else ():
        if shared.renamed and shared.advertised in taken:
            whose = taken[shared.advertised]
            yield f"sharing: {shared.resource} is advertised as {shared.advertised}, which is the name {whose}"


def health_problems(section: HealthSection) -> Iterator[str]:
    try:
        if section.hold_down is not None and parse_interval(section.hold_down) is None:
            yield "health.holdDown: infinite would keep GPUs out for ever: write a duration such as 60s"
    except ValueError as error:
        yield f"health.holdDown: {error}"


def plan_health(section: HealthSection, xids: XidPolicy, *, polled: bool) -> HealthPolicy:
    """How GPUs are judged. xids, polled: of the environment. For a section without `health_problems`."""
    policy = HealthPolicy(xids=replace(xids, classes=section.xids), polled=polled)
    hold_down = None if section.hold_down is None else parse_interval(section.hold_down)
    return policy if hold_down is None else replace(policy, hold_down=hold_down)


def plan_sharing(section: SharingSection) -> Sharing | None:
    """What is shared; None where nothing is. For a section without `sharing_problems`."""
    for strategy, replicated in sharing_ways(section):
        shared = tuple(to_shared(each, replicated) for each in replicated.resources if each.replicas > 1)
        if shared:
            fail = replicated.fail_requests_greater_than_one
            default = strategy is SharingStrategy.MPS
            return Sharing(
                strategy=strategy,
                resources=shared,
                fail_requests_greater_than_one=default if fail is None else fail,
            )
    return None


def discovery_strategies(sections: Sequence[Section]) -> list[str]:
    """What all of these agents can do: containers cannot be given a GPU that virtual machines have."""
    return ["auto", "nvml", "tegra", *(["vfio"] if "plugin" not in sections else [])]


def mig_strategies(sections: Sequence[Section]) -> list[str]:
    """gfd writes the label that `auto` follows."""
    return ["none", "single", "mixed", *(["auto"] if "gfd" not in sections else [])]


def nvidia_options(*sections: Section) -> Options:
    """The flags that gfd and the device plugin share, with the environment names of each."""
    prefixed = "GFD_" if "gfd" in sections else ""
    names = {
        key: list(dict.fromkeys((f"{prefixed}{key}", key)))
        for key in ("CONFIG_FILE", "MIG_STRATEGY", "FAIL_ON_INIT_ERROR")
    }
    return options(
        config_option(
            "--config-file",
            name="nvidia_config",
            envvar=names["CONFIG_FILE"],
            load=lambda data, source: decode_nvidia_config(data, sections, source=source),
        ),
        click.option(
            "--mig-strategy",
            envvar=names["MIG_STRATEGY"],
            default="none",
            type=click.Choice(mig_strategies(sections)),
            show_default=True,
            help="How MIG devices appear. auto (gpu-device-plugin alone): as the Node's label nvidia.com/mig.strategy says.",
        ),
        click.option(
            "--driver-root-ctr-path",
            "--container-driver-root",
            "driver_root",
            envvar=["DRIVER_ROOT_CTR_PATH", "CONTAINER_DRIVER_ROOT"],
            default="/driver-root",
            type=PathType(),
            show_default=True,
            help="Where the driver's root is for us; libnvidia-ml is looked for below it first.",
        ),
        click.option(
            "--device-discovery-strategy",
            envvar="DEVICE_DISCOVERY_STRATEGY",
            default="auto",
            type=click.Choice(discovery_strategies(sections)),
            help="How GPUs are found. nvml: through NVML. tegra: through CUDA, for an SoC without NVML. vfio (gfd alone): by PCI, those "
            "that virtual machines are given. auto: tegra on a Tegra where libnvidia-ml cannot be loaded, else nvml.",
        ),
        bool_option(
            "--fail-on-init-error",
            envvar=names["FAIL_ON_INIT_ERROR"],
            default=True,
            help_text="Taken for compatibility; these agents never exit because of what is on the node.",
        ),
    )
