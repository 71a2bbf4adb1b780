"""A group of commands whose modules are imported only when their command runs, so that no command waits for the imports of others."""

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

import node_core.startup
from node_core.runtime.examples import ExamplesGroup

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """attribute: the click command in the module. help: one sentence for the list of commands.

    is_agent: the module parses its arguments in its function `main(arguments)`, which returns the exit status.
    """

    module: str
    help: str
    attribute: str = "command"
    is_agent: bool = False

    def load(self) -> click.Command:
        """Imports the module."""
        command: click.Command = getattr(importlib.import_module(self.module), self.attribute)
        return command


class LazyGroup(ExamplesGroup):
    """sections: title -> name -> command, in the order of --help. entries: name -> command."""

    def __init__(self, *args: Any, sections: dict[str, dict[str, Entry]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._sections = sections
        self.entries = {name: entry for section in sections.values() for name, entry in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (entry := self.entries.get(cmd_name)) is None:
            return None
        if ctx.resilient_parsing:
            return _describe(cmd_name, entry)
        return ForwardingCommand(cmd_name, entry) if entry.is_agent else entry.load()

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Replaces the method of click, which imports the modules of all commands."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

        found = {name: entry.help for name, entry in self.entries.items() if name.startswith(incomplete)}
        names = [CompletionItem(name, help=text) for name, text in found.items()]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C while a command is imported, or in a command that does not handle it, ends the program without a message."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, section in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])


def _describe(name: str, entry: Entry) -> click.Command:
    """Returns a command that has the parameters of the command, for completion, without the imports of its module."""
    from gpunode.completion.descriptions import build_command, read_descriptions  # noqa: PLC0415 - only for completion

    description = read_descriptions().get(name)
    return entry.load() if description is None else build_command(name, description)


class ForwardingCommand(click.Command):
    """Passes all its arguments, and `--help`, to the function `main` of the module."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(
            name,
            callback=self._forward,
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            help=entry.help,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True},
        )
        self.entry = entry

    def _forward(self, arguments: Sequence[str]) -> None:
        gc.disable()
        main: Callable[[Sequence[str]], int] = importlib.import_module(self.entry.module).main
        node_core.startup.freeze_gc()
        sys.exit(main(arguments))
