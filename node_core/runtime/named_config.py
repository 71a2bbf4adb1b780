"""Which of several configs counts on this node: a label of the Node names it. For all agents that read NVIDIA's config file.

Source: k8s-device-plugin README, "Updating Per-Node Configuration With a Node Label". What its config-manager does with links and
signals happens in the process itself: a new label, or new content under the same name, is applied at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, get_args

import structlog

from node_core.decode import Document, closest, read_document
from node_core.domain.labels import DEVICE_PLUGIN_CONFIG, Labels
from node_core.errors import NodeError, SettingsError
from node_core.host.inotify import DirectoryWatch
from node_core.runtime.config_map import ConfigMapName

log = structlog.get_logger(__name__)

LABEL = DEVICE_PLUGIN_CONFIG
Fallback = Literal["named", "single", "empty"]
FALLBACKS: tuple[Fallback, ...] = get_args(Fallback)
DEFAULT_FALLBACKS: tuple[Fallback, ...] = ("named", "single")
NAMED = "default"
"""The config that the fallback `named` takes."""
EMPTY = "empty"
"""What an empty config is called in messages."""
QUIET = 0.2
"""Seconds that a folder gets to change as a whole: a ConfigMap is put in place in several steps."""

Settings = TypeVar("Settings")
Choice = tuple[str | None, Document | None]
"""A config's name and what it holds, None for an empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedConfigOptions:
    """place: the folder or the ConfigMap of the configs. label: of the Node. default: the config of Nodes without it, or empty.

    fallbacks: what Nodes without it get where there is no default, tried in this order.
    """

    place: Path | ConfigMapName
    label: str = LABEL
    default: str = ""
    fallbacks: tuple[Fallback, ...] = DEFAULT_FALLBACKS


class ConfigSource(Protocol):
    """Where the configs are."""

    def read_configs(self) -> Mapping[str, Document] | None:
        """By name; None while they are not known, which is no error yet. Raises NodeError."""
        ...


class ConfigFolder:
    """Files in a folder, as a ConfigMap volume has them. Names that begin with `..` and folders are none.

    changed: called in any thread between start and stop, when there may be others.
    """

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._watch = DirectoryWatch(directory, changed, contents=True, quiet=QUIET)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def read_configs(self) -> Mapping[str, Document]:
        try:
            files = [path for path in self._directory.iterdir() if not path.name.startswith("..") and path.is_file()]
            return {path.name: read_document(path) for path in sorted(files)}
        except OSError as error:
            raise SettingsError([f"cannot read the configs in {self._directory}: {error.strerror}"]) from error


def choose_config(names: Collection[str], label: str, default: str, fallbacks: Sequence[Fallback]) -> str | None:
    """The name of the config that counts; None for an empty one. label: the label's value, empty without one. Raises ValueError."""
    if wanted := label or default:
        if wanted not in names:
            whose = "the Node's label" if label else "the default"
            raise ValueError(f"{whose} asks for the config {wanted!r}, which is not there{closest(wanted, [*names])}")
        return wanted
    for fallback in fallbacks:
        if fallback == "named" and NAMED in names:
            return NAMED
        if fallback == "single" and len(names) == 1:
            return next(iter(names))
        if fallback == "empty":
            return None
    raise ValueError(
        f"the Node has no label, there is no default config, and of {len(names)} configs none can be taken"
    )


class NamedConfigs(Generic[Settings]):
    """Follows the label and the configs. read: a config, None for an empty one -> settings; raises SettingsError.

    settings: the last that could be read; None before. What cannot be read changes nothing: `problem` says so until it can.
    """

    def __init__(
        self, source: ConfigSource, options: NamedConfigOptions, read: Callable[[Document | None], Settings]
    ) -> None:
        self.settings: Settings | None = None
        self.problem: str | None = None
        self._source = source
        self._options = options
        self._read = read
        self._tried: Choice | None = None

    def follow(self, labels: Labels) -> bool:
        """Whether `settings` are new: those of the config that counts for a Node with these labels."""
        try:
            chosen = self._choose(labels)
        except (NodeError, ValueError) as error:
            return self._refuse(None, str(error))
        if chosen is None or chosen == self._tried:
            return False
        name, config = chosen
        try:
            settings = self._read(config)
        except SettingsError as error:
            return self._refuse(chosen, "; ".join(error.problems))
        self._tried, self.problem = chosen, None
        is_new, self.settings = settings != self.settings, settings
        log.info("config_applied", config=name or EMPTY, changes=is_new)
        return is_new

    def _choose(self, labels: Labels) -> Choice | None:
        """None while the configs are not known. Raises NodeError or ValueError."""
        configs = self._source.read_configs()
        if configs is None:
            return None
        label = labels.get(self._options.label, "")
        name = choose_config(configs, label, self._options.default, self._options.fallbacks)
        return name, None if name is None else configs[name]

    def _refuse(self, tried: Choice | None, why: str) -> bool:
        self._tried = tried
        self.problem = f"{why}; what was applied before stays"
        return False
