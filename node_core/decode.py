"""Files from people: every problem at once, each with its path and, for an unknown key, the key that was probably meant.

msgspec decodes; it stops at the first error, so structs are walked here field by field.
"""

import difflib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
import yaml

from node_core.errors import SettingsError

StructType = TypeVar("StructType", bound=msgspec.Struct)

MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a YAML or JSON file holds. source: what problems are said of."""

    source: str
    content: bytes


def read_yaml(path: Path) -> Any:
    """The content of a YAML or JSON file, an empty mapping for an empty one. Raises SettingsError."""
    return parse_yaml(read_document(path))


def read_document(path: Path) -> Document:
    """So much of a file that `parse_yaml` sees when it is too much. Raises SettingsError."""
    if path.exists() and not path.is_file():
        raise SettingsError([f"{path}: is not a regular file"])
    try:
        with path.open("rb") as file:
            return Document(source=str(path), content=file.read(MAX_FILE + 1))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}"]) from error


def parse_yaml(document: Document) -> Any:
    """What it says, an empty mapping where it says nothing. Raises SettingsError."""
    source = document.source
    if len(document.content) > MAX_FILE:
        raise SettingsError([f"{source}: is larger than {MAX_FILE} bytes"])
    try:
        return yaml.load(document.content.decode(), _Loader) or {}  # noqa: S506  # nosec B506 # a SafeLoader
    except (RecursionError, UnicodeDecodeError) as error:
        raise SettingsError([f"{source}: is not a YAML text file"]) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that YAML knows and Python cannot be
        raise SettingsError([f"{source}: {' '.join(str(error).split())}"]) from error


class _Loader(yaml.SafeLoader):
    """Of two equal keys YAML's loaders silently take the last; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Hashable] = set()
        for key in filter(lambda each: isinstance(each, Hashable), keys):  # of the others the loader itself complains
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def decode_struct(data: Any, into: type[StructType], *, source: str) -> StructType:
    """The struct, or a SettingsError with one line per problem: `<source>: flags.plugin.deviceListStrategy: ...`."""
    problems = list(_problems(data, into, ""))
    if not problems:
        try:
            return msgspec.convert(data, into)
        except (msgspec.ValidationError, ValueError) as error:  # a check across fields, from __post_init__
            problems = [str(error)]
    raise SettingsError([f"{source}: {problem}" for problem in problems])


def closest(word: str, known: list[str]) -> str:
    """` (did you mean X?)`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _problems(data: Any, into: Any, path: str) -> list[str]:
    struct = _struct_of(into)
    if struct is not None and not (data is None and type(None) in get_args(into)):
        return _struct_problems(data, struct, path)
    if get_origin(into) in (list, tuple) and isinstance(data, list):
        element = get_args(into)[0]
        return [problem for index, item in enumerate(data) for problem in _problems(item, element, f"{path}[{index}]")]
    try:
        msgspec.convert(data, into)
    except (msgspec.ValidationError, ValueError) as error:
        return [f"{path}: {str(error).split(' - at `$')[0]}"]
    return []


def _struct_problems(data: Any, struct: type[msgspec.Struct], path: str) -> list[str]:
    if not isinstance(data, Mapping):
        return [f"{path or 'the file'}: expected a mapping, got {type(data).__name__}"]
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    prefix = f"{path}." if path else ""
    problems = [f"{prefix}{key}: unknown key{closest(str(key), list(fields))}" for key in data if key not in fields]
    problems += [f"{prefix}{name}: is missing" for name, field in fields.items() if field.required and name not in data]
    for name, field in fields.items():
        if name in data:
            problems += _problems(data[name], field.type, f"{prefix}{name}")
    return problems


def _struct_of(into: Any) -> type[msgspec.Struct] | None:
    candidates = [into, *get_args(into)] if get_origin(into) not in (list, tuple, dict) else []
    structs = [item for item in candidates if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    return structs[0] if len(structs) == 1 else None
