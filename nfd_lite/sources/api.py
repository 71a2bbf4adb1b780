"""What a source is: parts, each with one feature read from the host and the labels that follow from it."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.cpuid import CpuReader
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot

PREFIX = "feature.node.kubernetes.io/"
T = TypeVar("T")
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)

DEFAULT_CPUID_BLACKLIST = (
    *(
        "AVX10",
        "BMI1",
        "BMI2",
        "CLMUL",
        "CMOV",
        "CX16",
        "ERMS",
        "F16C",
        "HTT",
        "LZCNT",
        "MMX",
        "MMXEXT",
        "NX",
        "POPCNT",
    ),
    *("RDRAND", "RDSEED", "RDTSCP", "SGX", "SGXLC", "SSE", "SSE2", "SSE3", "SSE4", "SSE42", "SSSE3", "TDX_GUEST"),
)


FEATURES_DIR = "/etc/kubernetes/node-feature-discovery/features.d"


OFF = frozenset({"extra", "fake"})
"""Sources that `all` does not mean: they have to be named."""


class Memory:
    """What is kept between passes: what cannot have changed as long as its files have not, and texts of feature files. For one thread.

    texts: by name, for when a file cannot be read; None before the first look.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] | None = None
        self._kept: dict[str, tuple[object, Any]] = {}

    def keep(self, name: str, mark: object, read: Callable[[], T]) -> T:
        """What `read` gave when it was last called under this name with an equal mark. A failure is not kept."""
        known = self._kept.get(name)
        if known is None or known[0] != mark:
            known = self._kept[name] = (mark, read())
        result: T = known[1]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The edges of all passes. extra_pci: simulated functions, in the form of `pci.device` instances, seen beside the real ones.

    gpus_off_pci: there are simulated GPUs that no PCI bus shows. now: Unix seconds.
    """

    root: HostRoot
    cpu: CpuReader
    node_name: str | None = None
    extra_pci: tuple[Attributes, ...] = ()
    gpus_off_pci: bool = False
    now: Callable[[], float] = time.time
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSettings:
    """`sources.fake`: what the fake source says the host is, with NFD's defaults. labels: without the prefix."""

    labels: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(("fakefeature1", "fakefeature2", "fakefeature3"), "true")
    )
    flags: tuple[str, ...] = ("flag_1", "flag_2", "flag_3")
    attributes: Attributes = field(default_factory=lambda: {"attr_1": "true", "attr_2": "false", "attr_3": "10"})
    instances: tuple[Attributes, ...] = (
        {"attr_1": "true", "attr_2": "false", "attr_3": "10", "attr_4": "foobar", "name": "instance_1"},
        {"attr_1": "true", "attr_2": "true", "attr_3": "100", "name": "instance_2"},
        {"name": "instance_3"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """`sources` of NFD's worker config, with its defaults. Lists replace the defaults; a cpuid whitelist replaces the blacklist.

    feature_sources: the sources that are read, None for all but those of OFF. features_dir: the host folder of feature files.
    own_file: the feature file that this agent itself may write, which it must not take for somebody else's.
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


class Look:
    """One pass over one host. What several parts need is read once."""

    def __init__(self, host: Host, settings: SourceSettings) -> None:
        self.host = host
        self.root = host.root
        self.settings = settings
        self._read: dict[Callable[[Look], Any], Any] = {}

    def once(self, read: Callable[["Look"], T]) -> T:
        """What `read` gives, read at the first call only. A failure is not kept."""
        if read not in self._read:
            self._read[read] = read(self)
        result: T = self._read[read]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Features with what there is to say of them.

    reasons: what is missing because it could not be read, one sentence each; published labels stay for them. problems: what somebody
    wrote that is left out, one sentence each. expires_at: Unix seconds, when some of the features cease to hold.
    """

    features: Features
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    expires_at: float | None = None


Found = Features | Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One feature of a source.

    name: `<source>.<feature>`, as in Features. owns: prefixes of the full label keys that only this part makes. read raises
    HostReadError, OSError or ValueError when the feature cannot be read; a feature that the host does not have is no failure.
    rest: its keys are free, as in Collected.
    """

    name: str
    read: Callable[[Look], Found]
    labels: Callable[[Features, SourceSettings], Labels]
    owns: tuple[str, ...] = ()
    rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    name: str
    parts: tuple[Part, ...]


CPUS = "/sys/bus/cpu/devices"


def read_cpu_info(look: Look) -> CpuInfo:
    return look.host.cpu(look.root)


def list_cpus(look: Look) -> tuple[str, ...]:
    """The folders of all processors, also of those that are offline."""
    return tuple(f"{CPUS}/{name}" for name in look.root.entries(CPUS))


def no_labels(_features: Features, _settings: SourceSettings) -> Labels:
    """For parts that only rules use."""
    return {}


def flags(name: str, names: frozenset[str]) -> Features:
    return Features(flags={name: names})


def attributes(name: str, values: Attributes) -> Features:
    return Features(attributes={name: values})


def instances(name: str, values: tuple[Attributes, ...]) -> Features:
    return Features(instances={name: values})


def true_labels(names: Mapping[str, bool]) -> dict[str, str]:
    """`memory-numa` -> holds, as full keys with the value `true`; what does not hold has no label."""
    return {PREFIX + name: "true" for name, holds in names.items() if holds}


def spell(holds: bool) -> str:
    return "true" if holds else "false"


def parse_number(path: str, text: str) -> int:
    """What a file of numbers holds. Raises HostReadError."""
    if not _NUMBER.fullmatch(text):
        raise HostReadError(f"{path} holds {text[:40]!r}, not a number")
    return int(text)


def is_positive(text: str) -> bool:
    """Of any length: Python refuses to make numbers of very long texts."""
    return text.isdecimal() and text.strip("0") != ""


@dataclass(slots=True)
class Gathering:
    """Reads many small things, of which each may fail without taking the others away."""

    reasons: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[[], T], otherwise: T) -> T:
        """What `read` gives, or `otherwise` with the reason noted."""
        try:
            return read()
        except (HostReadError, OSError, ValueError) as error:
            self.reasons.append(str(error))
            return otherwise

    def text(self, root: HostRoot, path: str) -> str | None:
        """A file's text; None where there is none, or with the reason noted."""
        nothing: str | None = None
        return self.attempt(lambda: root.text(path), nothing)

    def found(self, features: Features) -> Found:
        return Partial(features=features, reasons=tuple(self.reasons)) if self.reasons else features


def read_present(gathering: Gathering, root: HostRoot, folder: str, names: Mapping[str, str]) -> dict[str, str]:
    """Attribute -> content of `folder`/file, for the files of `names` (attribute -> file) that are there and not empty."""
    read = {name: gathering.text(root, f"{folder}/{file}") for name, file in names.items()}
    return {name: text for name, text in read.items() if text}
