"""printf with Go's verbs, flags and errors: `%!d(string=x)`, `%!d(MISSING)`, `%!(EXTRA int=1)`. Source: pkg.go.dev/fmt."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.format_verbs import PLAIN_VERBS, Spec, format_scalar, pad
from gotemplate.run import Run
from gotemplate.values import MAXIMUM_DEPTH, NilList, type_name

_FLAGS = re.compile(r"[-+# 0]*")
_NUMBER = re.compile(r"[0-9]*")
_INDEX = re.compile(r"\[([^\]]*)\]")
_HIGHEST_WIDTH = 1_000_000
_NO_FLAGS: frozenset[str] = frozenset()


def sprintf(run: Run, layout: str, *arguments: Any) -> str:
    """Formats the arguments. As in Go, a wrong verb or argument is not an error: the output describes the problem."""
    return _Printer(run, layout, arguments).format()


class _Printer:
    """Formats one layout. _argument_position: the index of the argument for the next verb."""

    def __init__(self, run: Run, layout: str, arguments: Sequence[Any]) -> None:
        self._run = run
        self._layout = layout
        self._arguments = arguments
        self._position = 0
        self._argument_position = 0
        self._indexed = False
        self._index_is_valid = True
        self._pieces: list[str] = []
        self._size = 0

    def format(self) -> str:
        while (percent := self._layout.find("%", self._position)) >= 0:
            self._add(self._layout[self._position : percent])
            self._position = percent + 1
            self._format_verb()
        self._add(self._layout[self._position :])
        if not self._indexed and self._argument_position < len(self._arguments):
            self._add(
                f"%!(EXTRA {', '.join(self._describe(value) for value in self._arguments[self._argument_position :])})"
            )
        self._run.reserve(self._size)
        return "".join(self._pieces)

    def _add(self, piece: str) -> None:
        self._size += len(piece)
        if self._size > self._run.limits.size:
            self._run.reserve(self._size)
        self._pieces.append(piece)

    def _format_verb(self) -> None:
        self._run.spend()
        self._index_is_valid = True
        if self._layout[self._position : self._position + 1].isalpha():
            self._format_argument(_NO_FLAGS, None, None)
            return
        flags = frozenset(self._read(_FLAGS))
        index_before = self._read_argument_index()
        width, index_before = self._read_width(index_before)
        precision, index_before = self._read_precision(index_before)
        if not index_before:
            self._read_argument_index()
        if width is not None and width < 0:
            flags, width = flags | {"-"}, -width
        self._format_argument(flags, width, precision)

    def _format_argument(self, flags: frozenset[str], width: int | None, precision: int | None) -> None:
        if self._position >= len(self._layout):
            self._add("%!(NOVERB)")
            return
        verb = self._layout[self._position]
        self._position += 1
        if verb == "%":
            self._add("%")
        elif not self._index_is_valid:
            self._add(f"%!{verb}(BADINDEX)")
        elif self._argument_position >= len(self._arguments):
            self._add(f"%!{verb}(MISSING)")
        else:
            self._format_value(Spec(flags=flags, width=width, precision=precision, verb=verb))

    def _format_value(self, spec: Spec) -> None:
        value = self._arguments[self._argument_position]
        self._argument_position += 1
        self._run.reserve(spec.minimum_length)
        for piece in format_pieces(self._run, spec, value):
            self._add(piece)

    def _read(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._layout, self._position)
        self._position = match.end() if match else self._position
        return match[0] if match else ""

    def _read_argument_index(self) -> bool:
        if not self._layout.startswith("[", self._position):
            return False
        self._indexed = True
        match = _INDEX.match(self._layout, self._position)
        if match is None:
            self._index_is_valid = False
            self._position += 1
            return False
        self._position = match.end()
        number = _parse_number(match[1]) or 0 if _NUMBER.fullmatch(match[1]) else None
        if number is not None and 1 <= number <= len(self._arguments):
            self._argument_position = number - 1
        else:
            self._index_is_valid = False
        return number is not None

    def _read_width(self, index_before: bool) -> tuple[int | None, bool]:
        if self._layout.startswith("*", self._position):
            self._position += 1
            width = self._read_star()
            if width is None:
                self._add("%!(BADWIDTH)")
            return width, False
        digits = self._read(_NUMBER)
        if digits and index_before:
            self._index_is_valid = False
        return _parse_number(digits), index_before

    def _read_precision(self, index_before: bool) -> tuple[int | None, bool]:
        if not self._layout.startswith(".", self._position) or self._position + 1 == len(self._layout):
            return None, index_before
        self._position += 1
        if index_before:
            self._index_is_valid = False
        index_before = self._read_argument_index()
        if not self._layout.startswith("*", self._position):
            return _parse_number(self._read(_NUMBER)) or 0, index_before
        self._position += 1
        precision = self._read_star()
        if precision is None or precision < 0:
            precision = None
            self._add("%!(BADPREC)")
        return precision, False

    def _read_star(self) -> int | None:
        """Returns the width or precision of the next argument, or None if the argument is not valid."""
        value = self._arguments[self._argument_position] if self._argument_position < len(self._arguments) else None
        self._argument_position += self._argument_position < len(self._arguments)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _HIGHEST_WIDTH:
            return None
        return int(value)

    def _describe(self, value: Any) -> str:
        return "<nil>" if value is None else f"{type_name(value)}={format_value(self._run, value)}"


def _parse_number(digits: str) -> int | None:
    return int(digits[:9]) if digits else None


_V = Spec(flags=_NO_FLAGS, width=None, precision=None, verb="v")


def format_value(run: Run, value: Any) -> str:
    """Returns the value as %v prints it. Raises TemplateError if the text is larger than the limit."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, dict)):
        return run.join_pieces(format_pieces(run, _V, value))
    return "<nil>" if value is None else format_scalar(_V, value) or ""


def format_output(run: Run, value: Any) -> str:
    """Returns the text that `{{ value }}` writes."""
    return "<no value>" if value is None else format_value(run, value)


def format_pieces(run: Run, spec: Spec, value: Any, depth: int = MAXIMUM_DEPTH) -> Iterator[str]:
    """Formats the value with one verb, in pieces. The verb applies to each element of lists and maps."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep to print")
    if spec.verb == "T" and depth == MAXIMUM_DEPTH:
        yield _format_type(spec, value)
    elif isinstance(value, list):
        yield from _format_list(run, spec, value, depth - 1)
    elif isinstance(value, dict):
        yield from _format_map(run, spec, value, depth - 1)
    elif value is None:
        yield from _format_nil(spec, top=depth == MAXIMUM_DEPTH)
    else:
        text = format_scalar(spec, value)
        yield _format_mismatch(spec, value) if text is None else text


def _format_type(spec: Spec, value: Any) -> str:
    name = type_name(value)
    return pad(spec, name if value is None else name[: spec.precision])


def _format_mismatch(spec: Spec, value: Any) -> str:
    return f"%!{spec.verb}({type_name(value)}={format_scalar(replace(spec, verb=PLAIN_VERBS.get(type(value), 's')), value)})"


def _format_nil(spec: Spec, *, top: bool) -> Iterator[str]:
    if not top:
        yield "interface {}(nil)" if spec.go_syntax else "<nil>"
    else:
        yield pad(spec, "<nil>") if spec.verb == "v" else f"%!{spec.verb}(<nil>)"


def _format_list(run: Run, spec: Spec, value: list[Any], depth: int) -> Iterator[str]:
    if spec.go_syntax and isinstance(value, NilList):
        yield f"{type_name(value)}(nil)"
        return
    start, between, end = (f"{type_name(value)}{{", ", ", "}") if spec.go_syntax else ("[", " ", "]")
    yield start
    for position, item in enumerate(value):
        yield between if position else ""
        yield from format_pieces(run, spec, item, depth)
    yield end


def _format_map(run: Run, spec: Spec, value: dict[str, Any], depth: int) -> Iterator[str]:
    start, between, end = (f"{type_name(value)}{{", ", ", "}") if spec.go_syntax else ("map[", " ", "]")
    yield start
    for position, key in enumerate(sorted(value)):
        yield between if position else ""
        yield from format_pieces(run, spec, key, depth)
        yield ":"
        yield from format_pieces(run, spec, value[key], depth)
    yield end
