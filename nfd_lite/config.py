"""Node Feature Discovery's worker config file (`core` and `sources`): every key of it, and what it becomes. Unknown keys are errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

from nfd_lite.sources import FakeSettings, SourceSettings
from node_core.decode import decode_struct

Struct = TypeVar("Struct", bound=msgspec.Struct)


class Cpuid(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.cpu.cpuid. A whitelist replaces the blacklist; both act on labels, not on features."""

    attribute_blacklist: tuple[str, ...] | None = None
    attribute_whitelist: tuple[str, ...] | None = None


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """sources.cpu."""

    cpuid: Cpuid = Cpuid()


class Kernel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.kernel."""

    kconfig_file: str | None = None
    config_opts: tuple[str, ...] | None = None


class Devices(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.pci and sources.usb."""

    device_class_whitelist: tuple[str, ...] | None = None
    device_label_fields: tuple[str, ...] | None = None


class FakeInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One of sources.fake.instanceFeatures."""

    name: str
    attributes: dict[str, str] = {}


class Fake(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.fake. Maps are added to the defaults, lists replace them."""

    labels: dict[str, str] | None = None
    flag_features: tuple[str, ...] | None = None
    attribute_features: dict[str, str] | None = None
    instance_features: tuple[FakeInstance, ...] | None = None


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """sources.local, which has no keys."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """sources. custom: rules, which are decoded where they are evaluated."""

    cpu: Cpu = Cpu()
    kernel: Kernel = Kernel()
    pci: Devices = Devices()
    usb: Devices = Devices()
    custom: list[Any] | None = None
    fake: Fake = Fake()
    local: Local = Local()


class Klog(msgspec.Struct, frozen=True, kw_only=True):
    """core.klog, whose values nobody looks at."""

    addDirHeader: Any = None  # noqa: N815 - upstream's names, which follow no rule
    alsologtostderr: Any = None
    logBacktraceAt: Any = None  # noqa: N815
    logDir: Any = None  # noqa: N815
    logFile: Any = None  # noqa: N815
    logFileMaxSize: Any = None  # noqa: N815
    logtostderr: Any = None
    skipHeaders: Any = None  # noqa: N815
    skipLogHeaders: Any = None  # noqa: N815
    stderrthreshold: Any = None
    v: Any = None
    vmodule: Any = None


class Core(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """core. labelSources, featureSources: names, `all`, or `-name` to take one away. sleepInterval: a duration string, or seconds.

    sources: the old name of labelSources, which wins.
    """

    sleep_interval: str | int | float | None = None
    feature_sources: tuple[str, ...] | None = None
    label_sources: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    label_white_list: str | None = None
    no_publish: bool | None = None
    no_publish_features: tuple[str, ...] | None = None
    owner_refs: tuple[Literal["node", "pod", "ds"], ...] | None = None
    no_owner_refs: bool | None = None
    klog: Klog = Klog()


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    core: Core = Core()
    sources: Sources = Sources()


@dataclass(frozen=True, slots=True, kw_only=True)
class NfdConfig:
    """What the file and flags say beside what sources look at.

    custom_rules: `sources.custom` as it was written. no_publish: look, and write nothing. no_publish_features: `<source>.<feature>`, or a
    beginning of it with `*`, left out of a NodeFeature object. notes: what the file says without effect here, one sentence each.
    """

    custom_rules: list[Any] = field(default_factory=list)
    no_publish: bool = False
    no_publish_features: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def decode_worker_config(data: Any, source: str) -> tuple[WorkerConfig, Mapping[str, Any]]:
    """The file and what it says for our options, by parameter name. Raises SettingsError with every problem.

    data: what the file holds. source: what to call it in problems.
    """
    config = decode_struct(_without_nulls(data), WorkerConfig, source=source)
    core = config.core
    chosen = core.label_sources if core.sources is None else core.sources
    said = {
        "sleep_interval": core.sleep_interval,
        "feature_sources": _words(core.feature_sources),
        "label_sources": _words(chosen),
        "label_white_list": core.label_white_list,
        "no_publish": core.no_publish,
        "no_publish_features": _words(core.no_publish_features),
    }
    return config, {name: value for name, value in said.items() if value is not None}


def _words(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else ",".join(names)


def _without_nulls(data: Any) -> Any:
    """A key without a value says nothing, as in a file of which only the comments were taken away."""
    if not isinstance(data, dict):
        return data
    return {key: _without_nulls(value) for key, value in data.items() if value is not None}


def merge_configs(under: Struct | None, over: Struct | None) -> Struct | None:
    """One config of two: maps are merged, and of everything else what `over` says counts."""
    if under is None or over is None:
        return under if over is None else over
    pairs = {name: (getattr(under, name), getattr(over, name)) for name in under.__struct_fields__}
    return type(under)(**{name: _merge(low, high) for name, (low, high) in pairs.items()})


def _merge(low: Any, high: Any) -> Any:
    if isinstance(low, msgspec.Struct):
        return merge_configs(low, high)
    if isinstance(low, dict) and isinstance(high, dict):
        return low | high
    return low if high is None else high


def config_notes(config: WorkerConfig) -> tuple[str, ...]:
    """What it says that is taken and without effect here."""
    core = config.core
    notes = {
        "core.klog has no effect: --log-level and --log-format decide over the log": core.klog != Klog(),
        "core.ownerRefs has no effect: what we publish belongs to the Node and outlives our pod": core.owner_refs
        is not None,
        "core.noOwnerRefs has no effect: what we publish belongs to the Node": core.no_owner_refs is not None,
        "core.sources is the old name of core.labelSources": core.sources is not None,
    }
    return tuple(note for note, holds in notes.items() if holds)


def source_settings(config: WorkerConfig | None, **flags: Any) -> SourceSettings:
    """The settings of all sources: the file's, where it says something, else NFD's defaults. flags: those that have fields of their own."""
    if config is None:
        return SourceSettings(**flags)
    sources = config.sources
    said: dict[str, Any] = {
        "cpuid_attribute_blacklist": sources.cpu.cpuid.attribute_blacklist,
        "cpuid_attribute_whitelist": sources.cpu.cpuid.attribute_whitelist,
        "kernel_kconfig_file": sources.kernel.kconfig_file,
        "kernel_config_opts": sources.kernel.config_opts,
        "pci_device_class_whitelist": sources.pci.device_class_whitelist,
        "pci_device_label_fields": sources.pci.device_label_fields,
        "usb_device_class_whitelist": sources.usb.device_class_whitelist,
        "usb_device_label_fields": sources.usb.device_label_fields,
        "fake": fake_settings(sources.fake),
    }
    return SourceSettings(**{name: value for name, value in said.items() if value is not None}, **flags)


def fake_settings(fake: Fake) -> FakeSettings:
    default = FakeSettings()
    instances = (
        None
        if fake.instance_features is None
        else tuple({**each.attributes, "name": each.name} for each in fake.instance_features)
    )
    return FakeSettings(
        labels={**default.labels, **(fake.labels or {})},
        flags=default.flags if fake.flag_features is None else fake.flag_features,
        attributes={**default.attributes, **(fake.attribute_features or {})},
        instances=default.instances if instances is None else instances,
    )
