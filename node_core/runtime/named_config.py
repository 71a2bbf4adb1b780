"""Selects one of several configs by a label of the Node, for all agents that read NVIDIA's config file.

Source: k8s-device-plugin README, "Updating Per-Node Configuration With a Node Label". The upstream config-manager uses links and signals.
Here, the agent itself applies a new label, or new content under the same name, at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from node_core.decode import Document, describe_os_error, read_document
from node_core.domain.labels import DEVICE_PLUGIN_CONFIG
from node_core.errors import SettingsError
from node_core.host.inotify import DirectoryWatch
from node_core.runtime.config_map import ConfigMapName, parse_config_map_name
from node_core.runtime.setting import build, optional_path, setting
from node_core.schema import suggest

LABEL = DEVICE_PLUGIN_CONFIG
Fallback = Literal["named", "single", "empty"]
DEFAULT_FALLBACKS: tuple[Fallback, ...] = ("named", "single")
NAMED = "default"
"""The config that the fallback `named` selects."""
MIN_INTERVAL = 0.2
"""Minimum seconds between two calls of `changed`: the kubelet updates a ConfigMap volume in several steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedConfigOptions:
    """place: the folder or the ConfigMap of the configs. label: the key of the Node label. default: the config for Nodes without the label.

    default is empty if no default is set. fallbacks: used in this order for Nodes without the label if no default is set.
    """

    HEADING: ClassVar = "Config files"

    place: Path | ConfigMapName
    label: str = setting(
        "--node-label NODE_LABEL",
        LABEL,
        "Node label that selects the config in --config-dir or --config-map.",
    )
    default: str = setting(
        "--default-config DEFAULT_CONFIG", "", "The config for Nodes without the label of --node-label."
    )
    fallbacks: tuple[Fallback, ...] = setting(
        "--fallback-strategies FALLBACK_STRATEGIES",
        DEFAULT_FALLBACKS,
        "The config to use if neither the label nor --default-config selects one. The first strategy that finds a config wins."
        " named: the config with the name default. single: the only config. empty: no config.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPlaces:
    """The possible locations of the configs. Only one may be set."""

    HEADING: ClassVar = "Config files"

    config_dir: Path | None = setting(
        "--config-dir CONFIG_FILE_SRCDIR",
        None,
        "Folder of config files. A label of the Node selects one file.",
        parse=optional_path,
    )
    config_map: ConfigMapName | None = setting(
        "--config-map CONFIG_MAP",
        None,
        "ConfigMap whose entries are config files, watched by the API. Use in place of --config-dir.",
        parse=lambda text: parse_config_map_name(text) if text else None,
        metavar="NAMESPACE/NAME",
    )


NAMED_CONFIG = (ConfigPlaces, NamedConfigOptions)
"""The settings classes of the command line."""


def parse_named_config(values: Mapping[str, Any], problems: list[str]) -> NamedConfigOptions | None:
    """Parses the values of a command line. Returns None if neither a folder nor a ConfigMap is set. Appends to problems."""
    found = build(ConfigPlaces, values)
    places = {
        "--config-dir": found.config_dir,
        "--config-map": found.config_map,
        "--config-file": values["nvidia_config"],
    }
    given = [flag for flag, place in places.items() if place is not None]
    if len(given) > 1:
        problems.append(f"{given[0]}: is used together with {' and '.join(given[1:])}: use only one of them")
    place = found.config_dir or found.config_map
    return None if place is None else build(NamedConfigOptions, values, place=place)


class ConfigSource(Protocol):
    """A source of configs: a folder or a ConfigMap."""

    def read_configs(self) -> Mapping[str, Document] | None:
        """Returns name -> config, or None while the configs are still unknown. Raises NodeError."""
        ...


class ConfigFolder(DirectoryWatch):
    """The files of a folder, such as a ConfigMap volume. Folders, and files whose names begin with `..`, are ignored.

    changed: called in the thread of the watch when the configs may have changed.
    """

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        super().__init__(directory, changed, contents=True, min_interval=MIN_INTERVAL)
        self._directory = directory

    def read_configs(self) -> Mapping[str, Document]:
        try:
            files = [path for path in self._directory.iterdir() if not path.name.startswith("..") and path.is_file()]
            return {path.name: read_document(path) for path in sorted(files)}
        except OSError as error:
            raise SettingsError([f"the folder of configs {self._directory} {describe_os_error(error)}"]) from error


def select_config(names: Collection[str], label: str, default: str, fallbacks: Sequence[Fallback]) -> str | None:
    """Returns the name of the selected config, None for an empty config. label: the value of the label, or empty. Raises ValueError."""
    if name := label or default:
        if name not in names:
            source = "the Node's label" if label else "the default"
            raise ValueError(f"{source} selects the config {name!r}, which does not exist{suggest(name, names)}")
        return name
    for fallback in fallbacks:
        if fallback == "named" and NAMED in names:
            return NAMED
        if fallback == "single" and len(names) == 1:
            return next(iter(names))
        if fallback == "empty":
            return None
    raise ValueError(
        f"the Node has no label, no default config is set, and none of the {len(names)} configs can be selected"
    )
