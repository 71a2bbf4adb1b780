"""The settings of the config that a label of the Node selects, for every agent that reads NVIDIA's config file."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import click
import msgspec
import structlog

from node_core.decode import Document
from node_core.domain.labels import Labels
from node_core.errors import NodeError, SettingsError
from node_core.runtime import metrics
from node_core.runtime.command import parse_command
from node_core.runtime.named_config import ConfigSource, NamedConfigOptions, select_config
from node_core.runtime.services import Services
from node_core.runtime.setting import SettingOption

log = structlog.get_logger(__name__)

Settings = TypeVar("Settings")
EMPTY = "empty"
"""The name of an empty config in log events."""
NO_CONFIG_SOURCE = ("--config-dir", "", "--config-map", "")
Choice = tuple[str | None, Document | None]
"""The name of a config and the config. Both are None for an empty config."""


ReadSettings = Callable[[Document | None], Settings]
"""Returns the settings with a config, or without a config for None. Raises SettingsError."""


class NamedConfigs(msgspec.Struct, Generic[Settings], frozen=True, kw_only=True):
    """A set of configs. A label of the Node selects one config."""

    source: ConfigSource
    options: NamedConfigOptions
    read: ReadSettings[Settings]


class ConfigSelector(Generic[Settings]):
    """Selects and reads the config for the labels of the Node. Problems are reported as the check `<agent>/config`.

    configs: None if the settings come only from flags, environment and one file. settings: the settings of the last valid config. Before
    the first valid config: the settings of the flags. A config that is not valid changes nothing.
    """

    def __init__(
        self, settings: Settings, configs: NamedConfigs[Settings] | None, *, agent: str, services: Services
    ) -> None:
        self.settings = settings
        self.problem: str | None = None
        self._is_settled = configs is None
        self._refusal: str | None = None
        self._configs = configs
        self._agent = agent
        self._services = services
        self._tried: Choice | None = None
        if configs is not None:
            services.readiness.expect(f"{agent}/config")

    def select(self, read_labels: Callable[[], Labels | None]) -> Settings | None:
        """Returns the current settings, or None before the first valid config.

        read_labels: returns the labels of the Node, or None while the Node is unknown. May raise NodeError.
        """
        if self._configs is not None:
            try:
                if (labels := read_labels()) is not None:
                    self._report(self._select(self._configs, labels))
            except NodeError as error:
                self._report(str(error))
        return self.settings if self._is_settled else None

    def _select(self, configs: NamedConfigs[Settings], labels: Labels) -> str | None:
        """Applies the config for these labels. Returns the problem, or None."""
        try:
            chosen = _choose(configs, labels)
        except (NodeError, ValueError) as error:
            return self._refuse(None, str(error))
        if chosen is None or chosen == self._tried:
            return self._refusal
        name, config = chosen
        try:
            settings = configs.read(config)
        except SettingsError as error:
            return self._refuse(chosen, "; ".join(error.problems))
        is_new = not self._is_settled or settings != self.settings
        self.settings, self._is_settled = settings, True
        self._tried, self._refusal = chosen, None
        log.info("config_applied", config=name or EMPTY, changes=is_new)
        return None

    def _refuse(self, tried: Choice | None, why: str) -> str:
        effect = "the previous config remains in use" if self._is_settled else "there is no previous config to use"
        self._tried, self._refusal = tried, f"{why}; {effect}"
        return self._refusal

    def _report(self, problem: str | None) -> None:
        """Reports the problem as a check. A new problem also increments the metric ERRORS."""
        self._services.readiness.report(f"{self._agent}/config", problem)
        if problem is not None and problem != self.problem:
            self._services.metrics.add(metrics.ERRORS, agent=self._agent, check="config")
        self.problem = problem


def _choose(configs: NamedConfigs[Settings], labels: Labels) -> Choice | None:
    """Selects the config for the labels. Returns None while the configs are unknown. Raises NodeError or ValueError."""
    options, found = configs.options, configs.source.read_configs()
    if found is None:
        return None
    name = select_config(found, labels.get(options.label, ""), options.default, options.fallbacks)
    return name, None if name is None else found[name]


def settings_reader(
    command: click.Command, arguments: Sequence[str], prog: str, settings: Callable[[dict[str, Any]], Settings]
) -> ReadSettings[Settings]:
    """Returns a function that parses the command line and environment again, with the selected config in place of the config file.

    settings: builds settings from the values of a command line. A warning is logged if a config changes a fixed setting.
    """

    def parse(**configs: Document) -> dict[str, Any]:
        return parse_command(command, [*arguments, *NO_CONFIG_SOURCE], prog, configs=configs) or {}

    def reread(config: Document | None) -> Settings:
        own_values = parse()
        values = own_values if config is None else parse(nvidia_config=config)
        fixed = [each.setting for each in command.params if isinstance(each, SettingOption) and each.setting.fixed]
        made = settings({**values, **{each.name: own_values[each.name] for each in fixed}})
        for each in fixed:
            if values[each.name] != own_values[each.name]:
                why = "a config that a label selects cannot change this setting: use the flag"
                log.warning("setting_ignored", setting=each.flags[0].lstrip("-"), why=why)
        for note in () if config is None else values["notes"]:
            log.info("setting_without_effect", why=note)
        return made

    return reread
