"""The state and the settings of gpu-dra-driver on this node. Doctor uses the settings of the running driver."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dra_driver.names import AGENT
from gpunode.doctor.agents import AgentState, find_agent
from gpunode.doctor.settings import environment_of
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class DraDriver:
    """values: of the command line of the running driver; None if they cannot be read."""

    state: AgentState
    values: Mapping[str, Any] | None = None


def find_driver(lock_dir: Path | None, node_name: str) -> DraDriver:
    """lock_dir: the folder of the locks; None without one. node_name: empty for the Node of the only driver in the folder."""
    state = find_agent(lock_dir, AGENT, node_name)
    if state.process is None:
        return DraDriver(state=state)
    try:
        with environment_of(state):
            values = parse_command(state.process.command, state.process.arguments, AGENT)
    except SettingsError as error:
        why = f"{state.sentence}; its settings are not valid any more: {'; '.join(error.problems)}"
        return DraDriver(state=replace(state, sentence=why))
    return DraDriver(state=state, values=values)


def use_settings_of(driver: DraDriver, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the values of doctor's command line, with those of the driver for flags that both have and that are not given."""
    shared = driver.values or {}
    return {
        name: shared[name] if name in shared and name not in values["given"] else value
        for name, value in values.items()
    }
