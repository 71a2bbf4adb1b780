"""Completes the names of simulated nodes."""

from typing import TYPE_CHECKING

from click import Context, Parameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_scenarios(_: Context, __: Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Returns the names of the included scenarios. Without such a name, the shell completes files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - agents do not complete

    from simulation.scenarios.scenario import scenario_names  # noqa: PLC0415

    names = [CompletionItem(name) for name in scenario_names() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]
