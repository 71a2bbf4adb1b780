"""The common settings of a command line."""

from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.settings import CommonSettings, common_settings

_command = agent_command(
    "agent", CommonSettings, agent="AGENT", changes={"http_address": {"default": ":8080"}}, help="An agent."
)


def settings_of(*flags: str) -> CommonSettings:
    values = parse_command(_command, flags, "agent")
    assert values is not None
    return common_settings(values, CommonSettings)
