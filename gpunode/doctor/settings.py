"""The settings that doctor uses: those of the running plugin, except for the flags of doctor's own command line."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from device_plugin.agent import NAME
from device_plugin.plan.auto import select_mig_strategy
from device_plugin.plan.options import MigStrategy
from device_plugin.settings import PluginSettings, plugin_settings
from gpu_core.assembly import Dependencies, gpu_dependencies, select_config
from gpu_core.domain.node_assessment import Reason
from gpunode.doctor.agents import AgentProcess, AgentState
from gpunode.doctor.check import Check, note, ok, problem
from node_core.domain.labels import Labels
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.config_selector import settings_reader
from node_core.runtime.services import Services
from node_core.values import replace

PROGRAM = "gpunode doctor"
CONFIG_FLAGS = {"--config-file": "nvidia_config", "--config-dir": "config_dir", "--config-map": "config_map"}
"""Flags that replace each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command line to read the settings from. overrides: values that replace the values of the command line.

    is_agent: the command line is that of the running plugin.
    """

    command: click.Command
    arguments: tuple[str, ...]
    program: str
    overrides: Mapping[str, Any]
    is_agent: bool

    def read_values(self) -> Mapping[str, Any]:
        """Raises SettingsError."""
        return {**(parse_command(self.command, self.arguments, self.program) or {}), **self.overrides}

    def read_settings(self, values: Mapping[str, Any]) -> PluginSettings:
        """Raises SettingsError."""
        return plugin_settings({**values, **self.overrides})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSettings:
    """values: of the command line. check: where the settings come from. is_agent: they are the settings of the running plugin."""

    line: CommandLine
    values: Mapping[str, Any]
    settings: PluginSettings
    dependencies: Dependencies
    check: Check

    @property
    def is_agent(self) -> bool:
        return self.line.is_agent


def resolve_settings(own: CommandLine, own_values: Mapping[str, Any], plugin: AgentState) -> ResolvedSettings:
    """own, own_values: doctor's command line and its values. Raises SettingsError for an error in doctor's command line."""
    if plugin.process is None:
        sentence = (
            "gpu-device-plugin runs in another container or as another user, so doctor uses the flags of this command."
            " Run doctor in that container, or as root, to use the settings of gpu-device-plugin"
        )
        check = (
            note("settings", sentence)
            if plugin.is_running
            else note("settings", "doctor uses the flags of this command")
        )
        return _resolve(own, own_values, check)
    given = own_values["given"] - {"output"}
    line = CommandLine(
        command=plugin.process.command,
        arguments=(*plugin.process.arguments, *_config_words(own_values)),
        program=plugin.process.program.name,
        overrides={name: own_values[name] for name in given - {*CONFIG_FLAGS.values()}},
        is_agent=True,
    )
    flags = sorted(each.opts[0] for each in own.command.params if each.name in given)
    replaced = f", except for {', '.join(flags)} of this command" if flags else ""
    try:
        check = ok("settings", f"doctor uses the settings of the running gpu-device-plugin{replaced}")
        return _resolve(line, line.read_values(), check)
    except SettingsError as error:
        sentence = f"the settings of the running gpu-device-plugin are not valid any more: {'; '.join(error.problems)}"
        todo = "correct them: the plugin uses the previous settings, and cannot start again"
        return _resolve(own, own_values, problem("settings", sentence, todo))


def select_settings(
    resolved: ResolvedSettings, labels: Labels, services: Services
) -> tuple[PluginSettings, MigStrategy, tuple[Check, ...]]:
    """Returns the settings of the config that the labels of the Node select, the MIG strategy, and a check for each problem."""
    line, dependencies = resolved.line, resolved.dependencies
    reread = settings_reader(line.command, line.arguments, line.program, line.read_settings)
    selector = select_config(NAME, resolved.settings, dependencies, services, reread, lambda: None)
    for informer in dependencies.collections:
        informer.list_once()
    selector.select(lambda: labels)
    strategy, mig_problem = select_mig_strategy(labels, "none")
    named, unread = resolved.settings.named, services.readiness.problems().get(f"{PROGRAM}/config-map")
    checks: list[Check] = []
    if named is not None and (why := selector.problem or unread) is not None:
        todo = "correct the config, or the label of the Node that selects it"
        checks.append(problem("config", f"the config in {named.place}: {why}", todo, reason=str(Reason.CONFIG_INVALID)))
    elif named is not None:
        checks.append(ok("config", f"the config of this Node in {named.place} is valid"))
    if selector.settings.mig_strategy == "auto" and mig_problem is not None:
        checks.append(problem("config", mig_problem, "correct the label of the Node"))
    return selector.settings, strategy, tuple(checks)


def use_config_of(own_values: Mapping[str, Any], plugin: AgentState) -> AgentState:
    """Removes the config of the plugin if doctor's command line selects a config."""
    if plugin.process is None or own_values["given"].isdisjoint(CONFIG_FLAGS.values()):
        return plugin
    return replace(plugin, process=_without_config(plugin.process))


@contextmanager
def environment_of(plugin: AgentState) -> Iterator[None]:
    """Within the block, the process has the environment of the plugin, from which the plugin reads settings."""
    before = dict(os.environ)
    if plugin.process is not None:
        os.environ.clear()
        os.environ.update(plugin.process.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _resolve(line: CommandLine, values: Mapping[str, Any], check: Check) -> ResolvedSettings:
    settings, dependencies = line.read_settings(values), gpu_dependencies(values, PROGRAM)
    return ResolvedSettings(line=line, values=values, settings=settings, dependencies=dependencies, check=check)


def _config_words(own_values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the flags of doctor's command line that select a config."""
    places = {**own_values, "nvidia_config": next(iter(own_values["config_files"]), None)}
    return (f"{flag}={places[name]}" for flag, name in CONFIG_FLAGS.items() if name in own_values["given"])


def _without_config(process: AgentProcess) -> AgentProcess:
    """Returns the process without the flags and environment variables that select its config. A flag may have one dash."""
    words, rest = iter(process.arguments), []
    for word in words:
        flag, equals, _ = word.partition("=")
        if f"--{flag.lstrip('-')}" not in CONFIG_FLAGS:
            rest.append(word)
        elif not equals:
            next(words, None)
    options = (each for each in process.command.params if each.name in CONFIG_FLAGS.values())
    names = {name for option in options for name in (option.envvar or ())}
    environment = {name: value for name, value in process.environment.items() if name not in names}
    return replace(process, arguments=tuple(rest), environment=environment)
