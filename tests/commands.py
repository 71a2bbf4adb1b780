"""All commands of gpunode, and docs/reference/commands.md, which is rendered from their declarations."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from gpunode.__main__ import gpunode
from gpunode.lazy_group import ForwardingCommand, LazyGroup
from node_core.runtime.examples import ExamplesCommand
from tests.tables import render_options

ENVIRONMENT = {
    "KUBECONFIG": "Kubeconfig files, separated by colons.",
    "NO_COLOR": "Write without colours.",
    "FORCE_COLOR": "Write as for a terminal, with colours, also into a pipe.",
    "COLUMNS": "The width of the terminal.",
}
"""Environment variables of the commands for people, besides those of flags."""
WIDTH = 140
HEAD = """# Commands

`gpunode VERB` and `kubectl gpu VERB` are the same. `gpunode VERB --help` shows the same texts as this page, and the
[man pages](../how-to/install-command.md#man-pages) too. The programs of the agents, `nfd-lite`, `gfd`, `gpu-device-plugin` and
`gpu-exporter`, have their flags in [settings.md](settings.md).

The output is stable: without colours and without a limit of width in a pipe, and in the same order each time. These environment variables
apply to all commands for people:

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A command. words: its full name. summary: one sentence. paragraphs: of its help."""

    words: tuple[str, ...]
    command: ExamplesCommand
    summary: str
    paragraphs: tuple[str, ...]
    below: tuple["Page", ...] = ()

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def context(self) -> click.Context:
        return click.Context(self.command, info_name=self.name, max_content_width=120)

    @property
    def usage(self) -> str:
        """The arguments after the name: `[OPTIONS] FILE...`."""
        return " ".join(self.command.collect_usage_pieces(self.context))

    @property
    def options(self) -> list[click.Option]:
        shown = self.command.get_params(self.context)
        return [each for each in shown if isinstance(each, click.Option) and not each.hidden]

    @property
    def is_runnable(self) -> bool:
        """Whether the command does something without a command below it."""
        return not isinstance(self.command, click.Group) or self.command.invoke_without_command


def describe_page(words: tuple[str, ...], command: click.Command, summary: str = "") -> Page:
    """Raises AssertionError for a command without examples and exit statuses."""
    real = command.entry.load() if isinstance(command, ForwardingCommand) else command
    assert isinstance(real, ExamplesCommand), f"{' '.join(words)}: the class of the command is not ExamplesCommand"
    context = click.Context(real, info_name=words[-1])
    names = real.list_commands(context) if isinstance(real, click.Group) else []
    below = [(name, real.get_command(context, name)) for name in names] if isinstance(real, click.Group) else []
    return Page(
        words=words,
        command=real,
        summary=summary or command.get_short_help_str(200),
        paragraphs=tuple(_paragraphs(real.help or "")),
        below=tuple(
            describe_page((*words, name), each, _summary(real, name)) for name, each in below if each is not None
        ),
    )


def describe_root() -> Page:
    return describe_page(("gpunode",), gpunode)


def _summary(group: click.Command, name: str) -> str:
    """Returns the sentence in the list of commands, for the commands of gpunode itself."""
    return group.entries[name].help if isinstance(group, LazyGroup) else ""


def all_pages(page: Page | None = None) -> Iterator[Page]:
    """Yields each command before the commands below it."""
    page = page or describe_root()
    yield page
    for each in page.below:
        yield from all_pages(each)


def render_commands() -> str:
    """Returns the page with every command."""
    variables = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in ENVIRONMENT.items())
    root, *pages = all_pages()
    names = "".join(f"- [`{each.name}`](#{each.name.replace(' ', '-')}): {each.summary}\n" for each in root.below)
    head = f"{HEAD}| variable | meaning |\n| --- | --- |\n{variables}\n{names}"
    return head + "".join(map(_render_page, pages))


def _render_page(page: Page) -> str:
    parts = [f"\n{'#' * len(page.words)} {page.name}\n", *(f"{_wrap(each)}\n" for each in page.paragraphs)]
    width = max(len(f"{page.name} {arguments}") for arguments, _ in page.command.examples)
    lines = (f"{f'{page.name} {arguments}'.rstrip():<{width}}  # {what}\n" for arguments, what in page.command.examples)
    parts.append(f"```sh\n{''.join(lines)}```\n")
    if page.is_runnable:
        parts.append(f"Usage: `{page.name} {page.usage}`\n")
    parts.append(_render_flags(page))
    statuses = "".join(f"| {status} | {meaning} |\n" for status, meaning in sort_statuses(page.command))
    parts.append("" if not page.is_runnable else f"| exit status | meaning |\n| --- | --- |\n{statuses}")
    return "\n".join(each for each in parts if each)


def _render_flags(page: Page) -> str:
    """Links the flags of the agents, which another page contains."""
    if page.words[1:] == ("run",):
        return "[settings.md](settings.md#gpunode-run) lists the flags.\n"
    if page.words[1:] == ("cdi", "generate"):
        return "The flags are those of [gpu-device-plugin](settings.md#gpu-device-plugin).\n"
    options = [each for each in page.options if each.opts != ["--version"]]
    own = [each for each in options if "--help" not in each.opts]
    return render_options(own) if own else ""


def sort_statuses(command: ExamplesCommand) -> list[tuple[str, str]]:
    return sorted(command.statuses.items(), key=lambda each: int(re.findall(r"\d+", each[0])[0]))


def _paragraphs(text: str) -> Iterator[str]:
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\b\n", "")):
        yield part.strip()


def _wrap(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
