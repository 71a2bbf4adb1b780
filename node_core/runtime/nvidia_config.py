"""NVIDIA's config file, version v1, shared by gfd and gpu-device-plugin (k8s-device-plugin README, "Configuration").

Keys that are not written here are errors: a setting that would silently do nothing is worse than a refusal.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import msgspec
from msgspec import UNSET, Meta, UnsetType

from node_core.decode import decode_struct, read_yaml
from node_core.domain.premium import PremiumRule
from node_core.domain.resources import PREFIX, resource_name
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy, advertised_name, parse_devices
from node_core.errors import SettingsError
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import Options, bool_option, config_option, options


class GfdFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.gfd. sleepInterval: a duration string, or seconds."""

    oneshot: bool | None = None
    no_timestamp: bool | None = None
    sleep_interval: str | int | float | None = None
    output_file: str | None = None
    machine_type_file: str | None = None


class PluginFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.plugin."""

    container_driver_root: str | None = None
    pass_device_specs: bool | None = None
    cdi_annotation_prefix: str | None = None
    nvidia_ctk_path: str | None = msgspec.field(default=None, name="nvidiaCTKPath")
    shared_devices_allocation_policy: str | None = None
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


class ReplicatedResource(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of sharing.*.resources. devices: `all`, a count, or a list of indexes and UUIDs (domain.sharing.parse_devices)."""

    name: str
    replicas: Annotated[int, Meta(ge=1)]
    rename: str | None = None
    devices: Any = "all"


class Replicated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sharing.timeSlicing or sharing.mps."""

    resources: list[ReplicatedResource]
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool | None = None


class SharingSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sharing. A way of sharing whose resources all have one replica shares nothing; at most one may share something."""

    time_slicing: Replicated | UnsetType = UNSET
    mps: Replicated | UnsetType = UNSET


class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. premium: ours, not NVIDIA's; see domain.premium."""

    version: Literal["v1"] = "v1"
    flags: Flags = Flags()
    sharing: SharingSection = SharingSection()
    resources: dict[str, list[Any]] = {}
    imex: dict[str, Any] = {}
    premium: list[PremiumRule] = []


Section = Literal["gfd", "plugin"]

NOT_WITH_THE_PLUGIN = (
    "gpu-device-plugin cannot share GPUs yet: take this out, or give it in a file of its own to gfd alone"
)


IDLE = frozenset({"pass_device_specs", "cdi_annotation_prefix", "nvidia_ctk_path", "shared_devices_allocation_policy"})
NOT_YET: Mapping[str, tuple[Any, ...]] = {
    "flags.mpsRoot": ("",),
    "flags.nvidiaDriverRoot": ("", "/"),
    "flags.nvidiaDevRoot": ("", "/"),
    "flags.gdrcopyEnabled": (False,),
    "flags.gdsEnabled": (False,),
    "flags.mofedEnabled": (False,),
    "flags.plugin.passDeviceSpecs": (False,),
    "flags.plugin.cdiAnnotationPrefix": ("", "cdi.k8s.io/"),
    "flags.plugin.nvidiaCTKPath": ("", "/usr/bin/nvidia-ctk"),
    "flags.plugin.sharedDevicesAllocationPolicy": ("", "distributed"),
}
"""Keys of the device plugin that it does not act on yet, and the values that ask for nothing."""


def not_yet_problems(config: NvidiaConfig) -> Iterator[str]:
    """What the file asks of the device plugin that it cannot do yet: each would otherwise be ignored in silence."""
    data = msgspec.to_builtins(config)
    for path, harmless in NOT_YET.items():
        value: Any = data
        for key in path.split("."):
            value = value[key]
        if value is not None and value not in harmless:
            yield f"{path}: gpu-device-plugin cannot do this yet: take it out, or give it to gfd alone"
    for section in (config.resources, config.imex):
        if any(section.values()):
            name = "resources" if section is config.resources else "imex"
            yield f"{name}: gpu-device-plugin cannot do this yet: take it out, or give it to gfd alone"


def without_nulls(data: Any) -> Any:
    """A section, or a section of `flags`, with nothing after its key is one that is not there, as Go's decoder has it."""
    if not isinstance(data, dict):
        return data
    present = {key: value for key, value in data.items() if value is not None}
    if isinstance(flags := present.get("flags"), dict):
        present["flags"] = {key: value for key, value in flags.items() if value is not None}
    return present


def load_nvidia_config(path: Path, sections: Sequence[Section]) -> tuple[NvidiaConfig, dict[str, Any]]:
    """The file and what it says for the options of these agents, by parameter name. Raises SettingsError with every problem."""
    config = decode_struct(without_nulls(read_yaml(path)), NvidiaConfig, source=str(path))
    problems = list(sharing_problems(config.sharing))
    if "plugin" in sections and not problems and plan_sharing(config.sharing) is not None:
        problems = [f"sharing: {NOT_WITH_THE_PLUGIN}"]
    if "plugin" in sections:
        problems += not_yet_problems(config)
    if problems:
        raise SettingsError([f"{path}: {problem}" for problem in problems])
    said: dict[str, Any] = {
        "mig_strategy": config.flags.mig_strategy,
        "device_discovery_strategy": config.flags.device_discovery_strategy,
    }
    if "gfd" in sections:
        said["use_node_feature_api"] = config.flags.use_node_feature_api
    for section in sections:
        own = msgspec.structs.asdict(getattr(config.flags, section))
        said |= {name: value for name, value in own.items() if name not in IDLE}
    said["driver_root"] = said.pop("container_driver_root", None)
    if isinstance(strategies := said.get("device_list_strategy"), list):
        said["device_list_strategy"] = ",".join(strategies)
    return config, {name: value for name, value in said.items() if value is not None}


def plan_sharing(section: SharingSection) -> Sharing | None:
    """What is shared; None where nothing is. For a section without `sharing_problems`."""
    for strategy, replicated in _ways(section):
        shared = tuple(_shared(each, replicated) for each in replicated.resources if each.replicas > 1)
        if shared:
            fail = replicated.fail_requests_greater_than_one
            default = strategy is SharingStrategy.MPS
            return Sharing(
                strategy=strategy,
                resources=shared,
                fail_requests_greater_than_one=default if fail is None else fail,
            )
    return None


def sharing_problems(section: SharingSection) -> Iterator[str]:
    """Everything that is wrong with a section and that types alone do not say, each with its path."""
    for strategy, replicated in _ways(section):
        yield from _replicated_problems(_path(strategy), replicated)
    active = [_path(strategy) for strategy, replicated in _ways(section) if _shares(replicated)]
    if len(active) > 1:
        yield f"{' and '.join(active)}: both share GPUs; a node shares in one way only, so leave one of them out"


def _ways(section: SharingSection) -> Iterator[tuple[SharingStrategy, Replicated]]:
    if section.time_slicing is not UNSET:
        yield SharingStrategy.TIME_SLICING, section.time_slicing
    if section.mps is not UNSET:
        yield SharingStrategy.MPS, section.mps


def _path(strategy: SharingStrategy) -> str:
    return "sharing.timeSlicing" if strategy is SharingStrategy.TIME_SLICING else "sharing.mps"


def _shares(replicated: Replicated) -> bool:
    return any(each.replicas > 1 for each in replicated.resources)


def _shared(entry: ReplicatedResource, of: Replicated) -> SharedResource:
    resource = resource_name(entry.name)
    return SharedResource(
        resource=resource,
        replicas=entry.replicas,
        advertised=advertised_name(resource, entry.rename, by_default=of.rename_by_default),
        devices=parse_devices(entry.devices),
    )


def _replicated_problems(path: str, replicated: Replicated) -> Iterator[str]:
    if not replicated.resources:
        yield f"{path}.resources: is empty: name the resources to share"
    for index, entry in enumerate(replicated.resources):
        yield from _entry_problems(f"{path}.resources[{index}]", entry, replicated)
    yield from (f"{path}.resources: {name} is there more than once" for name in _twice(replicated))


def _twice(replicated: Replicated) -> list[str]:
    """Names that two entries have, or are advertised by."""
    suffix = ".shared" if replicated.rename_by_default else ""
    names = Counter(
        name
        for entry in replicated.resources
        for name in {_prefixed(entry.name), _prefixed(entry.rename or f"{entry.name}{suffix}")}
    )
    return [name for name, times in names.items() if times > 1]


def _prefixed(name: str) -> str:
    return name if name.startswith(PREFIX) else PREFIX + name


def _entry_problems(path: str, entry: ReplicatedResource, of: Replicated) -> Iterator[str]:
    yield from _refusal(f"{path}.name", lambda: resource_name(entry.name))
    if entry.rename is not None:
        yield from _refusal(f"{path}.rename", lambda: resource_name(entry.rename or ""))
    elif of.rename_by_default and not list(_refusal("", lambda: resource_name(entry.name))):
        yield from _refusal(f"{path}.name", lambda: advertised_name(resource_name(entry.name), None, by_default=True))
    yield from _refusal(f"{path}.devices", lambda: parse_devices(entry.devices))


def _refusal(path: str, parse: Callable[[], object]) -> Iterator[str]:
    try:
        parse()
    except ValueError as error:
        yield f"{path}: {error}"


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
            load=lambda path: load_nvidia_config(path, sections),
        ),
        click.option(
            "--mig-strategy",
            envvar=names["MIG_STRATEGY"],
            default="none",
            type=click.Choice(["none", "single", "mixed"]),
            show_default=True,
            help="How MIG devices appear.",
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
            type=click.Choice(["auto", "nvml"]),
            help="How GPUs are found: through NVML, which auto means too. tegra and vfio are not there.",
        ),
        bool_option(
            "--fail-on-init-error",
            envvar=names["FAIL_ON_INIT_ERROR"],
            default=True,
            help_text="Taken for compatibility; these agents never exit because of what is on the node.",
        ),
    )
