"""The settings of nfd-lite that can prevent the publication of a label.

Whether a setting does so is tried: nfd-lite runs again without the limit, and the label appears or not.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import msgspec

from nfd_lite.config import CUSTOM
from nfd_lite.label_keys import PREFIX
from nfd_lite.rules.outputs import OutputPolicy
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import SOURCES
from nfd_lite.sources.api import OFF_BY_DEFAULT
from nfd_lite.sources.usb import FIELDS as USB_FIELDS
from node_core.domain.labels import Labels
from node_core.host.pci import ID_FIELDS
from node_core.values import replace

Edit = Callable[[NfdSettings], NfdSettings]
Run = Callable[[NfdSettings], Labels]
"""Returns the labels that nfd-lite publishes with other settings."""
DEVICES = {"pci": ID_FIELDS, "usb": USB_FIELDS}
"""Source -> the possible fields in the keys of its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """edits: remove the limit; of several edits, one is enough. why: returns a sentence. Its argument is the settings after the edit."""

    edits: tuple[Edit, ...]
    why: Callable[[NfdSettings], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlimited:
    """value: of the label without the limits. whys: a sentence for each setting that prevents the publication of the label."""

    value: str
    whys: tuple[str, ...]


def find_limits(key: str, settings: NfdSettings, run: Run) -> Unlimited | None:
    """Returns which settings prevent the publication of a label; None if the label does not appear without any limit."""
    limits = list_limits(key, settings)
    for edits in itertools.product(*(each.edits for each in limits)):
        if (value := run(_apply(edits, settings)).get(key)) is not None:
            needed = _select_needed(key, dict(zip(range(len(limits)), edits, strict=True)), settings, run)
            without = _apply(edits, settings)
            return Unlimited(value=value, whys=tuple(limits[number].why(without) for number in needed))
    return None


def _select_needed(key: str, edits: Mapping[int, Edit], settings: NfdSettings, run: Run) -> list[int]:
    """Returns the numbers of a smallest set of edits with which the label appears."""
    needed = dict(edits)
    for number in edits:
        fewer = {other: edit for other, edit in needed.items() if other != number}
        if key in run(_apply(fewer.values(), settings)):
            needed = fewer
    return list(needed)


def remove_limits(key: str, settings: NfdSettings) -> NfdSettings:
    """Returns the settings without the limits that can concern the label."""
    return _apply((each.edits[0] for each in list_limits(key, settings)), settings)


def _apply(edits: Iterable[Edit], settings: NfdSettings) -> NfdSettings:
    return reduce(lambda changed, edit: edit(changed), edits, settings)


def list_limits(key: str, settings: NfdSettings) -> list[Limit]:
    """Returns the limits in these settings that can concern the label."""
    name = key.removeprefix(PREFIX)
    limits = [*_source_limits(settings), *_output_limits(key, settings)]
    if name.startswith("cpu-cpuid."):
        limits.append(_cpuid_limit(name.removeprefix("cpu-cpuid."), settings))
    if name.startswith("kernel-config."):
        limits.append(_option_limit(name.removeprefix("kernel-config.")))
    for source in DEVICES:
        if name.startswith((f"{source}-", f"extra-{source}-")):
            limits.append(_class_limit(source, settings))
        if name.startswith(f"{source}-"):
            limits.append(_fields_limit(source, name.removeprefix(f"{source}-"), settings))
    return limits


def _source_limits(settings: NfdSettings) -> Iterator[Limit]:
    read = settings.source_settings.feature_sources
    read = frozenset(SOURCES) - OFF_BY_DEFAULT if read is None else read
    for source in SOURCES:
        if source not in read:
            why = f"the source {source} is off: --feature-sources is {_show_sources(read)}. Add {source}"
            yield Limit(edits=(partial(_change_sources, feature_sources=read | {source}),), why=_always(why))
    published = settings.label_sources
    for source in (*SOURCES, CUSTOM):
        if source not in published:
            shown = _show_sources(published - {CUSTOM})
            why = f"labels of the source {source} are not published: --label-sources is {shown}. Add {source}"
            yield Limit(edits=(partial(_add_label_source, source=source),), why=_always(why))


def _output_limits(key: str, settings: NfdSettings) -> Iterator[Limit]:
    if settings.white_list is not None:
        pattern = getattr(settings.white_list, "pattern", "")
        why = f"--label-white-list {pattern} does not match {key.rpartition('/')[2]}"
        yield Limit(edits=(lambda each: replace(each, white_list=None),), why=_always(why))
    if settings.restrictions.disable_labels:
        why = "restrictions.disableLabels of the config file is true"
        yield Limit(edits=(_enable_labels,), why=_always(why))
    if denied := settings.rules.policy.deny_label_ns:
        why = f"--deny-label-ns {','.join(sorted(denied))} denies the namespace of the label"
        yield Limit(edits=(_allow_namespaces,), why=_always(why))


def _cpuid_limit(flag: str, settings: NfdSettings) -> Limit:
    if settings.source_settings.cpuid_attribute_whitelist:
        why = f"sources.cpu.cpuid.attributeWhitelist of the config file does not contain {flag}. Add {flag}"
    else:
        why = (
            f"sources.cpu.cpuid.attributeBlacklist contains {flag}, by default or in the config file. "
            f"Set the list in the config file without {flag}"
        )
    edit = partial(_change_sources, cpuid_attribute_whitelist=(), cpuid_attribute_blacklist=())
    return Limit(edits=(edit,), why=_always(why))


def _option_limit(option: str) -> Limit:
    why = f"sources.kernel.configOpts does not contain {option}. Add {option} in the config file"
    return Limit(edits=(partial(_change_sources, kernel_config_opts=(option,)),), why=_always(why))


def _class_limit(source: str, settings: NfdSettings) -> Limit:
    field = f"{source}_device_class_whitelist"
    prefixes = ", ".join(getattr(settings.source_settings, field))
    why = f"sources.{source}.deviceClassWhitelist ({prefixes}) does not contain the class of the device. Add the class in the config file"
    return Limit(edits=(_edit_sources(field, ("",)),), why=_always(why))


def _fields_limit(source: str, name: str, settings: NfdSettings) -> Limit:
    """Tries all fields of which the key of a device, for example `10de` or `0302_10de`, can consist. The current fields come first."""
    field = f"{source}_device_label_fields"
    current = getattr(settings.source_settings, field)
    parts = re.split(r"\.(?:present|sriov)", name)[0].count("_") + 1
    choices = dict.fromkeys((current, *itertools.combinations(DEVICES[source], parts)))

    def why(chosen: NfdSettings) -> str:
        wanted = ", ".join(getattr(chosen.source_settings, field))
        return f"sources.{source}.deviceLabelFields is {', '.join(current)}. The key of this label consists of {wanted}"

    return Limit(edits=tuple(_edit_sources(field, each) for each in choices), why=why)


def _edit_sources(field: str, value: tuple[str, ...]) -> Edit:
    return lambda settings: _change_sources(settings, **{field: value})


def _change_sources(settings: NfdSettings, **changes: Any) -> NfdSettings:
    """Changes the settings of the sources. A set of sources is added to the sources that are on."""
    if "feature_sources" in changes:
        changes["feature_sources"] |= settings.source_settings.feature_sources or frozenset()
    return replace(settings, source_settings=replace(settings.source_settings, **changes))


def _add_label_source(settings: NfdSettings, source: str) -> NfdSettings:
    return replace(settings, label_sources=settings.label_sources | {source})


def _enable_labels(settings: NfdSettings) -> NfdSettings:
    return replace(settings, restrictions=msgspec.structs.replace(settings.restrictions, disable_labels=False))


def _allow_namespaces(settings: NfdSettings) -> NfdSettings:
    return replace(settings, rules=replace(settings.rules, policy=OutputPolicy()))


def _always(why: str) -> Callable[[NfdSettings], str]:
    return lambda _: why


def _show_sources(sources: frozenset[str]) -> str:
    """Returns `all` for every source that is on by default."""
    return "all" if sources == frozenset(SOURCES) - OFF_BY_DEFAULT else ",".join(sorted(sources)) or "empty"
