"""Decodes Node Feature Discovery's worker config file (`core` and `sources`). Unknown keys are errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from nfd_lite.feature_names import FEATURE_NAMES, suggest_feature
from nfd_lite.label_keys import WhiteList
from nfd_lite.rules.expression import describe_pattern_error
from nfd_lite.sources import SOURCES, FakeSettings, SourceSettings
from nfd_lite.sources.api import OFF_BY_DEFAULT
from nfd_lite.sources.usb import FIELDS as USB_FIELDS
from node_core.decode import decode_struct, remove_keys
from node_core.errors import SettingsError
from node_core.host.pci import ID_FIELDS
from node_core.runtime.setting import file_struct, setting, settings_of, values_in
from node_core.runtime.settings import CommonSettings
from node_core.schema import suggest

CUSTOM = "custom"


class FakeInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of sources.fake.instanceFeatures."""

    name: str
    attributes: dict[str, str] = {}


class Fake(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.fake. Maps are added to the defaults, lists replace the defaults."""

    labels: dict[str, str] | None = None
    flag_features: tuple[str, ...] | None = None
    attribute_features: dict[str, str] | None = None
    instance_features: tuple[FakeInstance, ...] | None = None


class Restrictions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`restrictions` of nfd-master.conf. None: the default, which is that everything is allowed."""

    allow_overwrite: bool | None = None
    disable_labels: bool | None = None
    disable_annotations: bool | None = None
    disable_extended_resources: bool | None = None
    deny_node_feature_labels: bool | None = None
    node_feature_namespace_selector: dict[str, Any] | None = None


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """sources.local, which has no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKeys:
    """The settings of SourceSettings without flags. A whitelist of CPU flags replaces the blacklist. Both apply to labels only."""

    cpuid_attribute_blacklist: tuple[str, ...] = setting("sources.cpu.cpuid.attributeBlacklist", ())
    cpuid_attribute_whitelist: tuple[str, ...] = setting("sources.cpu.cpuid.attributeWhitelist", ())
    kernel_kconfig_file: str = setting("sources.kernel.kconfigFile", "")
    kernel_config_opts: tuple[str, ...] = setting("sources.kernel.configOpts", ())
    pci_device_class_whitelist: tuple[str, ...] = setting("sources.pci.deviceClassWhitelist", ())
    pci_device_label_fields: tuple[str, ...] = setting("sources.pci.deviceLabelFields", ())
    usb_device_class_whitelist: tuple[str, ...] = setting("sources.usb.deviceClassWhitelist", ())
    usb_device_label_fields: tuple[str, ...] = setting("sources.usb.deviceLabelFields", ())


OLD_SOURCES = frozenset({"cpuid", "iommu", "panic_fake", "panicfake", "pstate", "rdt", "selinux"})
"""Sources of earlier versions of Node Feature Discovery, which lists in a config file may contain."""


def parse_sources(words: str | Sequence[str], known: Sequence[str]) -> frozenset[str]:
    """Parses source names: a list, or a text with commas. Raises ValueError.

    `all` adds every source except OFF_BY_DEFAULT; `-name` removes a source.
    """
    selected: set[str] = set()
    for word in filter(None, (part.strip() for part in (words.split(",") if isinstance(words, str) else words))):
        name = word.removeprefix("-")
        if name != "all" and name not in known:
            raise ValueError(f"{name!r} is not a source{suggest(name, known)}. The sources are {', '.join(known)}")
        names = set(known) - OFF_BY_DEFAULT if name == "all" else {name}
        selected = selected - names if word.startswith("-") else selected | names
    return frozenset(selected)


def parse_white_list(text: str) -> WhiteList:
    """Compiles a regular expression with RE2, as Node Feature Discovery does. Searches take linear time. Raises ValueError."""
    import re2  # noqa: PLC0415 - saves memory on nodes without a white list

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        pattern: WhiteList = re2.compile(text, quiet)
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError(describe_pattern_error(text, error)) from error
    return pattern


def find_idle_exclusions(words: Sequence[str]) -> Iterator[str]:
    """Yields a sentence for each word that matches no feature of a source. words: see exclude_features."""
    for word in words:
        name = word.removesuffix("*")
        matches = any(each.startswith(name) if word.endswith("*") else each == name for each in FEATURE_NAMES)
        if not matches and not name.startswith("local."):
            is_case = name.lower() in FEATURE_NAMES
            hint = f" (did you mean {name.lower()}?)" if is_case else suggest_feature(name.rstrip("."))
            yield f"{word[:80]!r} matches no feature{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFlags:
    """The settings of `core`. excluded_features: left out of a NodeFeature object: `<source>.<feature>`, or a prefix with `*`."""

    HEADING: ClassVar = "Sources and labels"

    feature_sources: frozenset[str] = setting(
        "--feature-sources core.featureSources",
        frozenset(SOURCES) - OFF_BY_DEFAULT,
        "Sources to read, separated by commas: names, `all` (every source except extra and fake), or `-name` to remove a source.",
        parse=lambda words: parse_sources(words, SOURCES),
        metavar="SOURCES",
        shown="all",
    )
    label_sources: frozenset[str] = setting(
        "--label-sources core.labelSources",
        frozenset((*SOURCES, CUSTOM)) - OFF_BY_DEFAULT,
        "Sources whose labels are published, separated by commas: names, `all`, or `-name` to remove a source.",
        parse=lambda words: parse_sources(words, (*SOURCES, CUSTOM)),
        metavar="SOURCES",
        shown="all",
    )
    white_list: WhiteList | None = setting(
        "--label-white-list core.labelWhiteList",
        None,
        "Publish only labels whose name matches this regular expression.",
        parse=parse_white_list,
        metavar="REGEX",
    )
    no_publish: bool = setting(
        "--no-publish NFD_NO_PUBLISH core.noPublish", False, "Discover features, but write nothing."
    )
    excluded_features: tuple[str, ...] = setting(
        "--no-publish-features core.noPublishFeatures",
        (),
        "Features to leave out of the NodeFeature object, such as kernel.config or cpu.*.",
        find_idle=find_idle_exclusions,
    )


_DECLARED = tuple(settings_of(CommonSettings, CoreFlags))
_SOURCE_KEYS = tuple(settings_of(SourceKeys))
_CORE: Any = file_struct(
    "core",
    _DECLARED,
    sources=tuple[str, ...] | None,
)
"""core. sources: the old name of labelSources, which takes precedence."""
_SOURCES: Any = file_struct("sources", _SOURCE_KEYS, custom=list[Any] | None, fake=Fake, local=Local)
"""sources. custom: rules; see nfd_lite.rules.custom."""
_MASTER_KEYS = {
    "extraLabelNs": "extra_label_ns",
    "denyLabelNs": "deny_label_ns",
    "enableTaints": "enable_taints",
    "labelWhiteList": "label_white_list",
    "noPublish": "no_publish",
}
"""Keys of nfd-master.conf -> the settings with the same effect. The keys of `core` take precedence."""
WorkerFile: Any = msgspec.defstruct(
    "WorkerConfig",
    [
        ("core", _CORE, _CORE()),
        ("sources", _SOURCES, _SOURCES()),
        ("extraLabelNs", tuple[str, ...] | None, None),
        ("denyLabelNs", tuple[str, ...] | None, None),
        ("enableTaints", bool | None, None),
        ("labelWhiteList", str | None, None),
        ("noPublish", bool | None, None),
        ("restrictions", Restrictions, Restrictions()),
    ],
    frozen=True,
    kw_only=True,
)
"""The keys of nfd-worker.conf, and those keys of nfd-master.conf that have an effect on a single node."""
_USE_LOG_FLAGS = "use --log-level and --log-format"
WITHOUT_EFFECT = {
    "sources.local.hooksEnabled": "Node Feature Discovery removed hooks. Write feature files in features.d in place of hooks",
    "core.klog": _USE_LOG_FLAGS,
    "core.ownerRefs": "published labels belong to the Node and remain when the pod ends",
    "core.noOwnerRefs": "published labels belong to the Node",
    "restrictions.disableTaints": "rules set taints only with --enable-taints",
    "klog": _USE_LOG_FLAGS,
    "resyncPeriod": "nfd-lite evaluates rules when a rule or a feature changes, and at each core.sleepInterval",
    "leaderElection": "each nfd-lite writes only its own Node, so there is no leader",
    "nfdApiParallelism": "each nfd-lite writes only its own Node",
    "informerPageSize": "nfd-lite has a page size of its own",
    "autoDefaultNs": "nfd-lite always adds feature.node.kubernetes.io/ to a name without a namespace",
    "resourceLabels": "write a rule with extendedResources",
    **{f"sources.{name}": "this source has no settings" for name in SOURCES if name not in _SOURCES.__struct_fields__},
}
"""Keys without effect -> why: of nfd-master.conf, of sources without settings, and of earlier versions of nfd-worker.conf."""


def decode_worker_config(data: Any, source: str) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """Decodes the content of a file. Returns the file, its settings by name, and its notes; see config_file.Load. Raises SettingsError.

    source: the name of the file in problems.
    """
    for part in ("worker", "master"):
        if isinstance(data, Mapping) and isinstance(section := data.get(part), Mapping) and "config" in section:
            raise SettingsError(
                [f"{source}: {part}.config is a value of NFD's chart. Write the content of the value to the file"]
            )
    data, notes = remove_keys(data, WITHOUT_EFFECT)
    data, source_notes = _remove_old_sources(data)
    config = decode_struct(data, WorkerFile, source=source)
    if config.restrictions.node_feature_namespace_selector:
        why = (
            "is not supported. Limit with RBAC who may create NodeFeature objects, or do not set --merge-node-features"
        )
        raise SettingsError([f"{source}: restrictions.nodeFeatureNamespaceSelector: {why}"])
    values = {name: value for key, name in _MASTER_KEYS.items() if (value := getattr(config, key)) is not None}
    values |= values_in(config.core, "core", _DECLARED)
    if config.core.sources is not None:
        values["label_sources"] = config.core.sources
    return config, values, (*notes, *source_notes, *config_notes(config))


def _remove_old_sources(data: Any) -> tuple[Any, tuple[str, ...]]:
    """Removes the names in OLD_SOURCES from the lists of sources. Returns the data, and one sentence for each list."""
    core = data.get("core") if isinstance(data, dict) else None
    if not isinstance(core, dict):
        return data, ()
    notes: list[str] = []
    for key in ("featureSources", "labelSources", "sources"):
        words = core.get(key)
        old = [word for word in words if str(word).removeprefix("-") in OLD_SOURCES] if isinstance(words, list) else []
        if old:
            notes.append(f"core.{key}: {', '.join(old)} has no effect: Node Feature Discovery removed this source")
            core = {**core, key: [word for word in core[key] if word not in old]}
    return {**data, "core": core}, tuple(notes)


def merge_configs(base: Any, override: Any) -> Any:
    """Merges two configs. Maps are merged; any other value of `override` replaces the value of `base`."""
    if base is None or override is None:
        return base if override is None else override
    if isinstance(base, msgspec.Struct):
        merged = {name: merge_configs(getattr(base, name), getattr(override, name)) for name in base.__struct_fields__}
        return type(base)(**merged)
    return base | override if isinstance(base, dict) and isinstance(override, dict) else override


def config_notes(config: Any) -> tuple[str, ...]:
    """Returns one sentence for each accepted value that has no effect, or not the effect that its name suggests."""
    notes = {
        "core.sources is the old name of core.labelSources. Rename the key": config.core.sources is not None,
        "labelWhiteList does not filter the labels of NodeFeatureRules": config.labelWhiteList is not None,
    }
    fields = {
        "pci": (config.sources.pci.deviceLabelFields, ID_FIELDS),
        "usb": (config.sources.usb.deviceLabelFields, USB_FIELDS),
    }
    unknown = (
        f"sources.{source}.deviceLabelFields: {word} is not a field{suggest(word, known)}. The fields are {', '.join(known)}"
        for source, (words, known) in fields.items()
        for word in words or ()
        if word not in known
    )
    return (*(note for note, holds in notes.items() if holds), *unknown)


def source_settings(config: Any, **flags: Any) -> SourceSettings:
    """Returns the settings of all sources: the values of the file, and NFD's defaults. flags: the settings that have flags."""
    values = values_in(config.sources, "sources", _SOURCE_KEYS)
    return SourceSettings(**values, fake=fake_settings(config.sources.fake), **flags)


def fake_settings(fake: Fake) -> FakeSettings:
    default, instances = FakeSettings(), fake.instance_features
    return FakeSettings(
        labels={**default.labels, **(fake.labels or {})},
        flags=default.flags if fake.flag_features is None else fake.flag_features,
        attributes={**default.attributes, **(fake.attribute_features or {})},
        instances=default.instances
        if instances is None
        else tuple({**each.attributes, "name": each.name} for each in instances),
    )
