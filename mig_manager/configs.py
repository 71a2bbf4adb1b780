"""The MIG configs of the node: those of config files, and those that are derived from the profiles of the GPUs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.config import MigConfigs, decode_mig_configs
from gpu_core.mig.generated import generate_configs
from gpu_core.mig.model import MigGpu
from gpu_core.mig.planner import DesiredGpu
from gpu_core.mig.select import select_layouts
from mig_manager.settings import MigSettings
from node_core.decode import Document, parse_yaml, read_document
from node_core.errors import NotReadError, SettingsError
from node_core.host.inotify import DirectoryWatch
from node_core.runtime.config_map import ConfigMapSource
from node_core.runtime.named_config import ConfigFolder, ConfigSource
from node_core.runtime.services import Services


class ConfigFile(DirectoryWatch):
    """One file. Satisfies named_config.ConfigSource. changed: called in the thread of the watch when the file may have changed."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        super().__init__(path.parent, changed, contents=True)
        self._config_file = path

    def read_configs(self) -> Mapping[str, Document]:
        return {self._config_file.name: read_document(self._config_file)}


class ConfigReader:
    """source: of config files; None for the derived configs alone."""

    def __init__(self, source: ConfigSource | None) -> None:
        self._source = source

    def select(self, name: str, gpus: Sequence[MigGpu]) -> Mapping[GpuUuid, DesiredGpu]:
        """Returns the layout of each GPU that the config selects. A config of a file replaces a derived one of the same name.

        Raises SettingsError for a file that is not valid, MigError for a config that is unknown or not possible on these GPUs, and
        NotReadError while the ConfigMap is not read.
        """
        documents = {} if self._source is None else self._source.read_configs()
        if documents is None:
            raise NotReadError("the ConfigMap of the MIG configs is not read yet")
        return select_layouts({**generate_configs(gpus), **decode_configs(documents)}, name, gpus)


def decode_configs(documents: Mapping[str, Document]) -> MigConfigs:
    """Decodes the configs of all files. Raises SettingsError with all problems, also if two files contain a config of the same name."""
    found: dict[str, MigConfigs] = {}
    problems: list[str] = []
    for file, document in documents.items():
        try:
            found[file] = decode_mig_configs(parse_yaml(document), source=document.source)
        except SettingsError as error:
            problems += error.problems
    names = [name for configs in found.values() for name in configs]
    problems += [
        f"the MIG config {name} is in several files" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise SettingsError(problems)
    return {name: entries for configs in found.values() for name, entries in configs.items()}


def build_configs(
    settings: MigSettings, dependencies: Dependencies, services: Services, changed: Callable[[], None]
) -> ConfigReader:
    """Adds the services that watch the configs to the dependencies. changed: called in any thread when the configs may have changed."""
    path, name = settings.config_file, settings.config_map
    if name is not None:
        informer = dependencies.config_map(name, services)
        informer.on_change(changed)
        return ConfigReader(ConfigMapSource(name, informer))
    if path is None:
        return ConfigReader(None)
    watch = ConfigFolder(path, changed) if path.is_dir() else ConfigFile(path, changed)
    dependencies.background_services.append(watch)
    return ConfigReader(watch)
