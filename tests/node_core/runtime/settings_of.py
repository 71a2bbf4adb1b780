"""The common settings that flags ask for."""

from typing import Any

import click

from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options
from node_core.runtime.settings import CommonSettings, common_settings


@click.command(cls=AgentCommand, name="agent")
@common_options(agent="AGENT", address=":8080")
def _command(**_: Any) -> None: ...


def settings_of(*flags: str) -> CommonSettings:
    values = parse_command(_command, flags, "agent")
    assert values is not None
    return common_settings(values)
