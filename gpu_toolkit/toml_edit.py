"""Changes single values in a TOML file and leaves all other bytes as they are. PURE.

Each result is parsed and compared with the expected values, so a file that is written in an unusual way is refused and not damaged.
Source: TOML 1.0.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from gpu_toolkit.model import Value
from node_core.errors import RuntimeConfigError

Table = tuple[str, ...]
MAX_FILE = 1 << 20
_PLACE = re.compile(r"\(at (.*)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def parse_toml(content: bytes, source: str) -> dict[str, Any]:
    """Returns the values of a file. source: its path, for errors. Raises RuntimeConfigError that names the file and the line."""
    import tomllib  # noqa: PLC0415 - needed only where a file must be read

    if len(content) > MAX_FILE:
        raise RuntimeConfigError(f"{source} is larger than {MAX_FILE} bytes")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _not_toml(source, f"line {line}", "the text is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        why = _PLACE.sub("", str(error)).strip()
        raise _not_toml(source, place[1] if place else "unknown line", why) from error
    except (RecursionError, ValueError) as error:  # ValueError: a number or date that Python cannot represent
        raise _not_toml(source, "unknown line", str(error)) from error


def _not_toml(source: str, place: str, why: str) -> RuntimeConfigError:
    return RuntimeConfigError(
        f"{source}, {place}: this is not TOML: {why}", hint="correct the file; nothing was changed"
    )


def set_values(content: bytes, source: str, table: Table, values: Mapping[str, Value | None]) -> bytes:
    """Returns the file with these values of one table. None removes a key. Raises RuntimeConfigError if that is not possible."""
    expected = with_values(parse_toml(content, source), table, values)
    text = content.decode()
    for key, value in values.items():
        lines = [] if value is None else [f"{key} = {render_value(value)}"]
        text = _set_lines(text, table, key, lines)
    if not _is_toml(text) or parse_toml(text.encode(), source) != expected:
        place = ".".join(table)
        raise RuntimeConfigError(f"{source}: the table {place} is written in a way that gpu-toolkit cannot change")
    return text.encode()


def restore_values(
    content: bytes, original: bytes | None, source: str, table: Table, values: Mapping[str, Value]
) -> bytes:
    """Returns a file, which others have changed after `set_values`, with the values of the original for the keys that still are ours."""
    now = read_table(parse_toml(content, source), table)
    before = original or b""
    was = read_table(parse_toml(before, source), table)
    ours = [key for key, value in values.items() if as_value(now.get(key)) == value]
    expected = with_values(parse_toml(content, source), table, {key: was.get(key) for key in ours})
    text = content.decode()
    for key in ours:
        text = _set_lines(text, table, key, _find_lines(before.decode(), table, key))
    if _header(before.decode().split("\n"), table) is None:
        text = _remove_empty(text, table)
    if not _is_toml(text) or without_empty(parse_toml(text.encode(), source)) != without_empty(expected):
        raise RuntimeConfigError(f"{source} was changed, and the values of gpu-toolkit cannot be removed from it")
    return text.encode()


def read_table(parsed: Mapping[str, Any], table: Table) -> Mapping[str, Any]:
    """Returns the values of a table; empty if there is none."""
    found: Any = parsed
    for name in table:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def with_values(parsed: Mapping[str, Any], table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of a document with these values of one table; None removes a key.

    Raises RuntimeConfigError if a part of the name of the table is not a table.
    """
    copy: dict[str, Any] = deepcopy(dict(parsed))
    found: Any = copy
    for name in table:
        found = found.setdefault(name, {})
        if not isinstance(found, dict):
            raise RuntimeConfigError(f"{'.'.join(table)}: {name} is not a table")
    for key, value in values.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = list(value) if isinstance(value, tuple) else value
    return copy


def without_empty(value: Any) -> Any:
    """Returns a document without empty tables."""
    if not isinstance(value, Mapping):
        return value
    kept = ((key, without_empty(each)) for key, each in value.items())
    return {key: each for key, each in kept if each != {}}


def as_value(value: Any) -> Value | None:
    """Returns a parsed value as one of `Values`; lists are tuples. None for other types."""
    if isinstance(value, list):
        return tuple(map(str, value))
    return value if isinstance(value, bool | str) else None


def render_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    return f"[{', '.join(map(quote, value))}]"


def quote(text: str) -> str:
    """Renders a basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in escaped) + '"'


def render_header(table: Table) -> str:
    return f"[{'.'.join(part if _BARE.fullmatch(part) else quote(part) for part in table)}]"


def _set_lines(text: str, table: Table, key: str, new: Sequence[str]) -> str:
    """Replaces the lines of a key, or adds them after the header of the table, or adds the table at the end."""
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    new = [line if line.endswith(end) else line + end for line in new]
    header = _header(lines, table)
    if header is None:
        return text if not new else _append(text, [render_header(table) + end, *new], end)
    first, after = _extent(lines, header, key)
    indent = _indent(lines, header, first, after)
    lines[first:after] = [line if line[:1].isspace() else indent + line for line in new]
    return "\n".join(lines)


def _append(text: str, new: Sequence[str], end: str) -> str:
    gap = "" if not text else f"{end}\n" if text.endswith("\n") else f"{end}\n{end}\n"
    return text + gap + "".join(f"{line}\n" for line in new)


def _find_lines(text: str, table: Table, key: str) -> list[str]:
    lines = text.split("\n")
    header = _header(lines, table)
    if header is None:
        return []
    first, after = _extent(lines, header, key)
    return lines[first:after]


def _remove_empty(text: str, table: Table) -> str:
    """Removes the header of a table without keys, with the empty line before it."""
    lines = text.split("\n")
    header = _header(lines, table)
    if header is None or any(line.strip() for line in lines[header + 1 : _end(lines, header)]):
        return text
    first = header - 1 if header and not lines[header - 1].strip() else header
    del lines[first : header + 1]
    return "\n".join(lines)


def _header(lines: Sequence[str], table: Table) -> int | None:
    return next((index for index, line in enumerate(lines) if _header_of(line) == table), None)


def _header_of(line: str) -> Table | None:
    """Returns the name of the table whose header the line is; None for other lines."""
    import tomllib  # noqa: PLC0415

    if not line.lstrip().startswith("["):
        return None
    try:
        parsed: Any = tomllib.loads(line.strip())
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    names = []
    while isinstance(parsed, dict) and len(parsed) == 1:
        ((name, parsed),) = parsed.items()
        names.append(name)
    return tuple(names) if parsed == {} else ("[]", *names)


def _end(lines: Sequence[str], header: int) -> int:
    return next((index for index in range(header + 1, len(lines)) if _header_of(lines[index])), len(lines))


def _extent(lines: Sequence[str], header: int, key: str) -> tuple[int, int]:
    """Returns the lines of a key, or twice the line after the header if the key is missing."""
    begins = re.compile(rf"""\s*(?:{re.escape(key)}|"{re.escape(key)}"|'{re.escape(key)}')\s*=""")
    stop = _end(lines, header)
    first = next((index for index in range(header + 1, stop) if begins.match(lines[index])), None)
    if first is None:
        return header + 1, header + 1
    complete = (after for after in range(first + 1, stop + 1) if _is_toml("\n".join(lines[first:after])))
    return first, next(complete, first + 1)


def _is_toml(text: str) -> bool:
    import tomllib  # noqa: PLC0415

    try:
        tomllib.loads(text.replace("\r", ""))
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return True


def _indent(lines: Sequence[str], header: int, first: int, after: int) -> str:
    """Returns the indentation of the key, or of the key after it, or of the header."""
    near = lines[first] if after > first or (first < len(lines) and "=" in lines[first]) else lines[header]
    return near[: len(near) - len(near.lstrip())]
