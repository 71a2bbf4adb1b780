"""printf with Go's verbs, flags and complaints: `%!d(string=x)`, `%!d(MISSING)`, `%!(EXTRA int=1)`. Source: pkg.go.dev/fmt."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.text import show
from nfd_lite.rules.template.values import MAXIMUM_DEPTH, type_name
from nfd_lite.rules.template.verbs import PLAIN_VERBS, Spec, padded, scalar

_FLAGS = re.compile(r"[-+# 0]*")
_NUMBER = re.compile(r"[0-9]*")
_INDEX = re.compile(r"\[([^\]]*)\]")
_HIGHEST_WIDTH = 1_000_000
_NO_FLAGS: frozenset[str] = frozenset()


def sprintf(run: Run, layout: str, arguments: Sequence[Any]) -> str:
    """The layout with its verbs filled in. It never fails for a wrong verb or argument: Go says so in the text."""
    return _Printer(run, layout, arguments).text()


class _Printer:
    """Walks along the layout: `at` is the place in it, `next` the argument that the next verb takes."""

    def __init__(self, run: Run, layout: str, arguments: Sequence[Any]) -> None:
        self._run = run
        self._layout = layout
        self._arguments = arguments
        self._at = 0
        self._next = 0
        self._indexed = False
        self._good_index = True
        self._pieces: list[str] = []
        self._size = 0

    def text(self) -> str:
        while (percent := self._layout.find("%", self._at)) >= 0:
            self._add(self._layout[self._at : percent])
            self._at = percent + 1
            self._verb()
        self._add(self._layout[self._at :])
        if not self._indexed and self._next < len(self._arguments):
            self._add(f"%!(EXTRA {', '.join(self._named(value) for value in self._arguments[self._next :])})")
        self._run.reserve(self._size)
        return "".join(self._pieces)

    def _add(self, piece: str) -> None:
        self._size += len(piece)
        if self._size > self._run.limits.size:
            self._run.reserve(self._size)
        self._pieces.append(piece)

    def _verb(self) -> None:
        self._run.spend()
        self._good_index = True
        if self._layout[self._at : self._at + 1].isalpha():
            self._fill(_NO_FLAGS, None, None)
            return
        flags = frozenset(self._take(_FLAGS))
        index_before = self._argument_index()
        width, index_before = self._width(index_before)
        precision, index_before = self._precision(index_before)
        if not index_before:
            self._argument_index()
        if width is not None and width < 0:
            flags, width = flags | {"-"}, -width
        self._fill(flags, width, precision)

    def _fill(self, flags: frozenset[str], width: int | None, precision: int | None) -> None:
        if self._at >= len(self._layout):
            self._add("%!(NOVERB)")
            return
        verb = self._layout[self._at]
        self._at += 1
        if verb == "%":
            self._add("%")
        elif not self._good_index:
            self._add(f"%!{verb}(BADINDEX)")
        elif self._next >= len(self._arguments):
            self._add(f"%!{verb}(MISSING)")
        else:
            self._format(Spec(flags=flags, width=width, precision=precision, verb=verb))

    def _format(self, spec: Spec) -> None:
        value = self._arguments[self._next]
        self._next += 1
        self._run.reserve(spec.room)
        for piece in formatted(self._run, spec, value):
            self._add(piece)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._layout, self._at)
        self._at = match.end() if match else self._at
        return match[0] if match else ""

    def _argument_index(self) -> bool:
        if not self._layout.startswith("[", self._at):
            return False
        self._indexed = True
        match = _INDEX.match(self._layout, self._at)
        if match is None:
            self._good_index = False
            self._at += 1
            return False
        self._at = match.end()
        number = _number(match[1]) or 0 if _NUMBER.fullmatch(match[1]) else None
        if number is not None and 1 <= number <= len(self._arguments):
            self._next = number - 1
        else:
            self._good_index = False
        return number is not None

    def _width(self, index_before: bool) -> tuple[int | None, bool]:
        if self._layout.startswith("*", self._at):
            self._at += 1
            width = self._star()
            if width is None:
                self._add("%!(BADWIDTH)")
            return width, False
        digits = self._take(_NUMBER)
        if digits and index_before:
            self._good_index = False
        return _number(digits), index_before

    def _precision(self, index_before: bool) -> tuple[int | None, bool]:
        if not self._layout.startswith(".", self._at) or self._at + 1 == len(self._layout):
            return None, index_before
        self._at += 1
        if index_before:
            self._good_index = False
        index_before = self._argument_index()
        if not self._layout.startswith("*", self._at):
            return _number(self._take(_NUMBER)) or 0, index_before
        self._at += 1
        precision = self._star()
        if precision is None or precision < 0:
            precision = None
            self._add("%!(BADPREC)")
        return precision, False

    def _star(self) -> int | None:
        """The width or precision that an argument gives, or None for a bad one."""
        value = self._arguments[self._next] if self._next < len(self._arguments) else None
        self._next += self._next < len(self._arguments)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _HIGHEST_WIDTH:
            return None
        return int(value)

    def _named(self, value: Any) -> str:
        return "<nil>" if value is None else f"{type_name(value)}={show(self._run, value)}"


def _number(digits: str) -> int | None:
    return int(digits[:9]) if digits else None


def formatted(run: Run, spec: Spec, value: Any, depth: int = MAXIMUM_DEPTH) -> Iterator[str]:
    """The value under one verb, in pieces: lists and maps apply it to each of their own."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep to print")
    if spec.verb == "T" and depth == MAXIMUM_DEPTH:
        yield _type(spec, value)
    elif isinstance(value, list):
        yield from _list(run, spec, value, depth - 1)
    elif isinstance(value, dict):
        yield from _map(run, spec, value, depth - 1)
    elif value is None:
        yield from _nil(spec, top=depth == MAXIMUM_DEPTH)
    else:
        text = scalar(spec, value)
        yield _wrong_verb(spec, value) if text is None else text


def _type(spec: Spec, value: Any) -> str:
    name = type_name(value)
    return padded(spec, name if value is None else name[: spec.precision])


def _wrong_verb(spec: Spec, value: Any) -> str:
    return f"%!{spec.verb}({type_name(value)}={scalar(replace(spec, verb=PLAIN_VERBS.get(type(value), 's')), value)})"


def _nil(spec: Spec, *, top: bool) -> Iterator[str]:
    if not top:
        yield "interface {}(nil)" if spec.go_syntax else "<nil>"
    else:
        yield padded(spec, "<nil>") if spec.verb == "v" else f"%!{spec.verb}(<nil>)"


def _list(run: Run, spec: Spec, value: list[Any], depth: int) -> Iterator[str]:
    start, between, end = (f"{type_name(value)}{{", ", ", "}") if spec.go_syntax else ("[", " ", "]")
    yield start
    for position, item in enumerate(value):
        yield between if position else ""
        yield from formatted(run, spec, item, depth)
    yield end


def _map(run: Run, spec: Spec, value: dict[str, Any], depth: int) -> Iterator[str]:
    start, between, end = (f"{type_name(value)}{{", ", ", "}") if spec.go_syntax else ("map[", " ", "]")
    yield start
    for position, key in enumerate(sorted(value)):
        yield between if position else ""
        yield from formatted(run, spec, key, depth)
        yield ":"
        yield from formatted(run, spec, value[key], depth)
    yield end
