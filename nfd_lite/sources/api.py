"""Feature collectors, and the helper functions that the sources share.

Each collector reads one feature of a source from the host and derives labels from that feature.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from nfd_lite.cpu.cpuid import CpuReader
from nfd_lite.cpu.cpuid_decode import CpuInfo
from node_core.domain.features import Attributes, Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

T = TypeVar("T")
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)

_CPUID_BLACKLIST = (
    "AVX10 BMI1 BMI2 CLMUL CMOV CX16 ERMS F16C HTT LZCNT MMX MMXEXT NX POPCNT"
    " RDRAND RDSEED RDTSCP SGX SGXLC SSE SSE2 SSE3 SSE4 SSE42 SSSE3 TDX_GUEST"
)
DEFAULT_CPUID_BLACKLIST = tuple(_CPUID_BLACKLIST.split())

FEATURES_DIR = "/etc/kubernetes/node-feature-discovery/features.d"
OFF_BY_DEFAULT = frozenset({"extra", "fake"})
"""Sources that the word `all` does not include. Users enable these sources by name."""


class ScanCache:
    """Values that are reused between scans. Not thread-safe.

    texts: the last text of each feature file by name, used when the file cannot be read. None before the first scan.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] | None = None
        self._values: dict[str, tuple[object, Any]] = {}

    def get_or_read(self, name: str, mark: object, read: Callable[[], T]) -> T:
        """Returns the value stored under this name if its mark is equal; otherwise calls `read`. A failure is not stored."""
        stored = self._values.get(name)
        if stored is None or stored[0] != mark:
            stored = self._values[name] = (mark, read())
        result: T = stored[1]
        return result


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The host that all scans read.

    extra_pci: simulated PCI functions, as instances of `pci.device`, added to the real ones. has_gpus_off_pci: some simulated GPUs are
    not on a PCI bus. now: returns Unix seconds.
    """

    root: HostRoot
    cpu: CpuReader
    node_name: str | None = None
    extra_pci: tuple[Attributes, ...] = ()
    has_gpus_off_pci: bool = False
    now: Callable[[], float] = time.time
    cache: ScanCache = msgspec.field(default_factory=ScanCache)


class FakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sources.fake`: the features and labels of the fake source, with NFD's defaults. labels: keys without the prefix."""

    labels: Mapping[str, str] = msgspec.field(
        default_factory=lambda: dict.fromkeys(("fakefeature1", "fakefeature2", "fakefeature3"), "true")
    )
    flags: tuple[str, ...] = ("flag_1", "flag_2", "flag_3")
    attributes: Attributes = msgspec.field(
        default_factory=lambda: {"attr_1": "true", "attr_2": "false", "attr_3": "10"}
    )
    instances: tuple[Attributes, ...] = (
        {"attr_1": "true", "attr_2": "false", "attr_3": "10", "attr_4": "foobar", "name": "instance_1"},
        {"attr_1": "true", "attr_2": "true", "attr_3": "100", "name": "instance_2"},
        {"name": "instance_3"},
    )


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sources` of NFD's worker config, with NFD's defaults. A list replaces its default; a cpuid whitelist replaces the blacklist.

    feature_sources: the enabled sources; None for all except OFF_BY_DEFAULT. features_dir: the host folder of feature files.
    own_file: the feature file that this agent writes; the local source does not read this file. labels_driver: see pre_installed_driver.
    """

    feature_sources: frozenset[str] | None = None
    cpuid_attribute_blacklist: tuple[str, ...] = DEFAULT_CPUID_BLACKLIST
    cpuid_attribute_whitelist: tuple[str, ...] = ()
    kernel_kconfig_file: str = ""
    kernel_config_opts: tuple[str, ...] = ("NO_HZ", "NO_HZ_IDLE", "NO_HZ_FULL", "PREEMPT")
    pci_device_class_whitelist: tuple[str, ...] = ("03", "0b40", "12")
    pci_device_label_fields: tuple[str, ...] = ("class", "vendor")
    usb_device_class_whitelist: tuple[str, ...] = ("0e", "ef", "fe", "ff")
    usb_device_label_fields: tuple[str, ...] = ("class", "vendor", "device")
    fake: FakeSettings = FakeSettings()
    features_dir: str = FEATURES_DIR
    own_file: str = f"{FEATURES_DIR}/nfd-lite"
    labels_driver: bool = False


class ScanContext:
    """The host, the settings and the shared reads of one scan."""

    def __init__(self, host: Host, settings: SourceSettings) -> None:
        self.host = host
        self.root = host.root
        self.settings = settings
        self._results: dict[Callable[[ScanContext], Any], Any] = {}

    def once(self, read: Callable[["ScanContext"], T]) -> T:
        """Returns the result of `read`, which is called at most once a scan. A failure is not stored."""
        if read not in self._results:
            self._results[read] = read(self)
        result: T = self._results[read]
        return result


class PartialFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """Features together with what could not be read or used. features: None if nothing could be read.

    reasons: one sentence for each part that could not be read; published labels of the feature are retained. problems: one sentence
    for each wrong entry of a user's file, and for a file that a setting names and that cannot be used. expires_at: Unix seconds when the
    first of the features expires.
    """

    features: Features | None
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    expires_at: float | None = None


ReadResult = Features | PartialFeatures
FeatureReader = Callable[[ScanContext], ReadResult]
Labeler = Callable[[Features, SourceSettings], Labels]


def no_labels(_features: Features, _settings: SourceSettings) -> Labels:
    """The labeler of features that only rules use."""
    return {}


class FeatureCollector(msgspec.Struct, frozen=True, kw_only=True):
    """Reads one feature of a source and derives labels from the feature.

    name: `<source>.<feature>`, as in Features. read raises HostReadError, OSError or ValueError if the feature cannot be read; a feature
    that the host does not have is not a failure. labels: returns label names without the prefix feature.node.kubernetes.io/. owns:
    prefixes of the names that only this collector publishes. catch_all: as in CollectorResult; `labels` then returns full keys.
    declared: the labels, for the documentation, without the prefix.
    """

    name: str
    read: FeatureReader
    labels: Labeler = no_labels
    owns: tuple[str, ...] = ()
    catch_all: bool = False
    declared: tuple[LabelDeclaration, ...] = ()

    @property
    def source(self) -> str:
        return self.name.partition(".")[0]


CPUS = "/sys/bus/cpu/devices"


def read_cpu_info(scan: ScanContext) -> CpuInfo:
    return scan.host.cpu(scan.root)


def list_cpus(scan: ScanContext) -> tuple[str, ...]:
    """Lists the folders of all processors, online or offline."""
    return tuple(f"{CPUS}/{name}" for name in scan.root.entries(CPUS))


def attribute_collector(name: str, read: FeatureReader, prefix: str, *declared: LabelDeclaration) -> FeatureCollector:
    """Returns a collector that publishes each attribute as the label `prefix` + attribute name."""

    def label(features: Features, _settings: SourceSettings) -> Labels:
        return {f"{prefix}{key}": value for key, value in features.attributes.get(name, {}).items()}

    return FeatureCollector(name=name, read=read, labels=label, owns=(prefix,), declared=declared)


def true_attribute_collector(
    name: str, read: FeatureReader, attributes: Mapping[str, str], *declared: LabelDeclaration
) -> FeatureCollector:
    """Returns a collector that publishes a label with the value `true` for each true attribute. attributes: label -> attribute."""

    def label(features: Features, _settings: SourceSettings) -> Labels:
        values = features.attributes.get(name, {})
        return true_labels({label: values.get(attribute) == "true" for label, attribute in attributes.items()})

    return FeatureCollector(name=name, read=read, labels=label, owns=tuple(attributes), declared=declared)


def flags(name: str, names: frozenset[str]) -> Features:
    return Features(flags={name: names})


def attributes(name: str, values: Attributes) -> Features:
    return Features(attributes={name: values})


def instances(name: str, values: tuple[Attributes, ...]) -> Features:
    return Features(instances={name: values})


def true_labels(names: Mapping[str, bool]) -> dict[str, str]:
    """Returns a label with the value `true` for each true name. names: label -> whether to publish the label."""
    return {name: "true" for name, is_true in names.items() if is_true}


def bool_text(value: bool) -> str:
    return "true" if value else "false"


def parse_number(path: str, text: str) -> int:
    """Parses the content of a file with one number. Raises HostReadError."""
    if not _NUMBER.fullmatch(text):
        raise HostReadError(f"{path} contains {text[:40]!r}, not a number")
    return int(text)


def is_count(text: str) -> bool:
    """Returns whether a text is a number from 0 up that int() accepts."""
    return _NUMBER.fullmatch(text) is not None and not text.startswith("-")


def is_positive(text: str) -> bool:
    """Returns whether a text of any length is a number above 0. Python's int() refuses very long texts."""
    return text.isdecimal() and text.strip("0") != ""


@dataclass(slots=True)
class PartialReader:
    """Reads many small values. A value that cannot be read adds a reason and does not stop the other reads."""

    reasons: list[str] = field(default_factory=list)

    def try_read(self, read: Callable[[], T], otherwise: T) -> T:
        """Returns the result of `read`. On a failure, adds the reason and returns `otherwise`."""
        try:
            return read()
        except (HostReadError, OSError, ValueError) as error:
            self.reasons.append(str(error))
            return otherwise

    def text(self, root: HostRoot, path: str) -> str | None:
        """Returns the text of a file; None if the file is missing or cannot be read."""
        nothing: str | None = None
        return self.try_read(lambda: root.text(path), nothing)

    def result(self, features: Features) -> ReadResult:
        return PartialFeatures(features=features, reasons=tuple(self.reasons)) if self.reasons else features


def read_attribute_files(
    reader: PartialReader, root: HostRoot, folder: str, names: Mapping[str, str]
) -> dict[str, str]:
    """Reads `folder`/file for each attribute. Missing and empty files are left out. names: attribute -> file."""
    texts = {name: reader.text(root, f"{folder}/{file}") for name, file in names.items()}
    return {name: text for name, text in texts.items() if text}
