"""Tables of the generated pages."""

from collections.abc import Iterable
from pathlib import Path

import click


def render_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def render_options(options: Iterable[click.Option]) -> str:
    return render_table(("flag", "environment", "default", "meaning"), map(_row, options))


def _row(option: click.Option) -> tuple[str, str, str, str]:
    names = option.envvar if isinstance(option.envvar, list | tuple) else [option.envvar] if option.envvar else []
    default = f"`{option.default}`" if isinstance(option.default, str | Path) and str(option.default) else ""
    choices = f" One of {', '.join(map(str, option.type.choices))}." if isinstance(option.type, click.Choice) else ""
    return (
        ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts)),
        ", ".join(f"`{name}`" for name in names),
        default,
        (option.help or "") + choices,
    )
