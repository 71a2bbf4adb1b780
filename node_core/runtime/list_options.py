"""Flags with several values: repeated, with commas, or both, and in a config file a list."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import click

from node_core.decode import closest
from node_core.runtime.flags import Options


class _Words(click.ParamType[str]):
    """Text that may hold several words; in the environment they have commas between them, not spaces."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return str(value)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


def list_option(
    flag: str, *, envvar: str, help_text: str, default: Sequence[str] = (), known: Sequence[str] = ()
) -> Options:
    """The value is a tuple without repetitions. known: all words that there are, where not every word is one."""

    def check(word: str) -> str:
        if known and word not in known:
            raise click.BadParameter(f"{word!r} is unknown{closest(word, [*known])}; there are {', '.join(known)}")
        return word

    shown = f" Any of {', '.join(known)}." if known else ""
    return _option(flag, envvar=envvar, default=default, help_text=help_text + shown, convert=check)


def int_list_option(flag: str, *, envvar: str, allowed: Collection[int], help_text: str) -> Options:
    """The same with numbers."""

    def check(word: str) -> int:
        if not word.isdecimal() or int(word) not in allowed:
            raise click.BadParameter(f"{word!r} is none of {', '.join(map(str, sorted(allowed)))}")
        return int(word)

    return _option(flag, envvar=envvar, default=(), help_text=help_text, convert=check)


def _option(
    flag: str, *, envvar: str, default: Sequence[str], help_text: str, convert: Callable[[str], Any]
) -> Options:
    def read(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Any, ...]:
        words = [word.strip() for value in values for word in value.split(",")]
        return tuple(dict.fromkeys(convert(word) for word in words if word)) or tuple(map(convert, default))

    shown = f" {','.join(default)} if nothing is said." if default else ""
    return click.option(
        flag, envvar=envvar, multiple=True, type=_Words(), callback=read, metavar="LIST", help=help_text + shown
    )
