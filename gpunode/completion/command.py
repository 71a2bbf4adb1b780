"""The command line of `gpunode completion`."""

from typing import Literal

import click

from gpunode.completion.shells import SHELLS, VARIABLE
from gpunode.output.verb import Verb

Shell = Literal["bash", "zsh", "fish"]


@click.command(
    "completion",
    cls=Verb,
    examples=(
        ("bash > ~/.local/share/bash-completion/completions/gpunode", "for every new bash"),
        ("zsh > ~/.zfunc/_gpunode", "for every new zsh, if ~/.zfunc is in fpath"),
        ("fish > ~/.config/fish/completions/gpunode.fish", "for every new fish"),
    ),
    help="Print the script that completes commands, flags, node names and label values in a shell. kubectl completes `kubectl gpu`"
    " without a script. See docs/how-to/install-command.md.",
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: Shell) -> None:
    from gpunode.__main__ import gpunode  # noqa: PLC0415 - that module does not import this one before the command runs

    click.echo(SHELLS[shell](gpunode, {}, "gpunode", VARIABLE).source(), nl=False)
