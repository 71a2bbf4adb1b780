"""The agents that read each kind of config file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from device_plugin.__main__ import command as plugin
from device_plugin.agent import NAME as PLUGIN
from device_plugin.settings import plugin_settings
from gfd.__main__ import command as gfd
from gfd.settings import gfd_settings
from gpunode.config_check.find import Kind
from nfd_lite.__main__ import command as nfd
from nfd_lite.settings import nfd_settings
from node_core.decode import Document
from node_core.errors import SettingsError
from node_core.runtime.setting import SettingOption

Settings = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """config: the name of the option that reads the config file. settings: builds the settings from the values of a command line.

    reads, ignores: prefixes of keys in the file.
    """

    name: str
    command: click.Command
    config: str
    settings: Settings
    reads: tuple[str, ...]
    ignores: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[SettingOption, ...]:
        return tuple(each for each in self.command.params if isinstance(each, SettingOption))

    def keys(self, option: SettingOption) -> tuple[str, ...]:
        """Returns the keys from which the agent reads the setting."""
        read = (key for key in option.setting.keys if key.startswith(self.reads))
        return tuple(key for key in read if not key.startswith(self.ignores or "\0"))


READERS: Mapping[Kind, tuple[Agent, ...]] = {
    Kind.NVIDIA: (
        Agent(name="gfd", command=gfd, config="nvidia_config", settings=gfd_settings, reads=("flags.", "imex.")),
        Agent(
            name=PLUGIN,
            command=plugin,
            config="nvidia_config",
            settings=plugin_settings,
            reads=("flags.", "imex."),
            ignores=("flags.gfd.",),
        ),
    ),
    Kind.NFD: (
        Agent(name="nfd-lite", command=nfd, config="nfd_config", settings=nfd_settings, reads=("core.", "sources.")),
    ),
}
"""The agents that read each kind of file."""


def select_agents(kind: Kind, arguments: Sequence[str]) -> tuple[Agent, ...]:
    """Returns the agents that accept these arguments, with any file. Raises SettingsError if no agent does."""
    accepted: list[Agent] = []
    problems: list[str] = []
    for agent in READERS[kind]:
        try:
            make_context(agent, Document(source="", content=b""), arguments)
            accepted.append(agent)
        except SettingsError as error:
            problems += [f"{agent.name}: {each}" for each in error.problems]
    if not accepted or (problems and not arguments):
        raise SettingsError(problems)
    return tuple(accepted)


def make_context(agent: Agent, document: Document, arguments: Sequence[str]) -> click.Context:
    try:
        return agent.command.make_context(agent.name, list(arguments), obj={agent.config: document})
    except click.UsageError as error:
        raise SettingsError([error.format_message()]) from error
