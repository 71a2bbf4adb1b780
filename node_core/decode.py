"""Reads documents of users and clusters: a YAML loader and a strict decoder.

The decoder does not stop at the first problem. The decoder reports all problems, each with the path of the value. For an unknown key, the
decoder suggests a similar known key, or the section that contains the key. msgspec converts single values.
"""

import hashlib
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from node_core.errors import SettingsError
from node_core.kubectl_yaml import KubectlLoader, WrittenFloat, WrittenInt
from node_core.schema import (
    entry_types,
    fields_of,
    found,
    item_type,
    key_places,
    mismatch,
    place_hint,
    struct_of,
    without_nulls,
)

StructType = TypeVar("StructType", bound=msgspec.Struct)

MAX_FILE = 1 << 20
"""Maximum size of one document, in bytes or characters."""
MAX_DEPTH = 100
MAX_VALUES = 1 << 20
"""Maximum number of values of a file, if each alias is replaced by its value."""
MAX_HINTS = 100
"""Problems with a hint for an unknown key: the search for similar keys is slow."""
_LONG = 253


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a YAML or JSON file. source: the name of the document in problems."""

    source: str
    content: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML or JSON file, or an empty mapping for an empty file. Raises SettingsError."""
    return parse_yaml(read_document(path))


def read_document(path: Path) -> Document:
    """Reads at most MAX_FILE + 1 bytes of the file: `parse_yaml` refuses a document that is too large. Raises SettingsError."""
    if path.exists() and not path.is_file():
        raise SettingsError([f"{path}: is not a regular file"])
    try:
        with path.open("rb") as file:
            return Document(source=str(path), content=file.read(MAX_FILE + 1))
    except OSError as error:
        raise SettingsError([f"{path}: {describe_os_error(error)}"]) from error


def read_input(file: str) -> Document:
    """Reads a file, a pipe, or standard input for `-`; at most MAX_FILE + 1 bytes, as `read_document`. Raises SettingsError."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
            return Document(source=file, content=stream.read(MAX_FILE + 1))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        why = describe_os_error(error) if isinstance(error, OSError) else "is not the name of a file"
        raise SettingsError([f"{file}: {why}"]) from error


def text_of(document: Document) -> str:
    """Returns the text of a document. Raises SettingsError if the document is too large, or not a text file."""
    if len(document.content) > MAX_FILE:
        raise SettingsError([f"{document.source}: is larger than {MAX_FILE} bytes"])
    try:
        return document.content.decode()
    except UnicodeDecodeError as error:
        raise SettingsError([f"{document.source}: is not a UTF-8 text file"]) from error


def parse_yaml(document: Document) -> Any:
    """Parses a single document. Returns an empty mapping for an empty document. Accepts aliases and merge keys. Raises SettingsError."""
    documents = _load(text_of(document), document.source, has_aliases=True, loader=_Loader)
    if len(documents) > 1:
        raise SettingsError([f"{document.source}: expected one document, got {len(documents)}"])
    return documents[0] or {} if documents else {}


def parse_first_document(document: Document) -> tuple[Any, bool]:
    """Returns the first document, None if it is empty, and whether more content follows. Raises SettingsError.

    The content that follows is ignored, also if it is not YAML, as by decoders of Go. Accepts aliases and merge keys.
    """
    text = text_of(document)
    documents = _load(text, document.source, has_aliases=True, loader=_Loader, is_first_only=True)
    return (documents[0] if documents else None), _has_more(text)


def parse_documents(text: str, source: str, *, as_kubectl: bool = False) -> tuple[Any, ...]:
    """Parses the documents of an untrusted text, and omits empty documents. Refuses aliases and tags. Raises SettingsError.

    as_kubectl: values without quotes have the types that kubectl gives them; see kubectl_yaml.
    """
    if len(text) > MAX_FILE:
        raise SettingsError([f"{source}: is larger than {MAX_FILE} characters"])
    return _load(text, source, has_aliases=False, loader=_KubectlLoader if as_kubectl else _Loader)


def _load(
    text: str, source: str, *, has_aliases: bool, loader: type[yaml.CSafeLoader], is_first_only: bool = False
) -> tuple[Any, ...]:
    try:
        _check_events(text, has_aliases=has_aliases, is_first_only=is_first_only)
        documents = islice(yaml.load_all(text, loader), 1 if is_first_only else None)
        return tuple(one for one in documents if one is not None)
    except yaml.YAMLError as error:
        raise SettingsError([f"{source}: {_describe_yaml_error(error, text)}"]) from error
    except (ValueError, OverflowError) as error:  # a date or number that Python cannot represent
        why = "contains a date or a number that is not valid. Put the value in quotes if it is text"
        raise SettingsError([f"{source}: {why}"]) from error


_YAML_PROBLEMS = {
    "mapping values are not allowed": "`: ` is not allowed here. Put the text in quotes, or check the indentation",
    "cannot start any token": "this character cannot begin a value. Put the value in quotes",
    "did not find expected node content": "a value is missing, or a bracket or brace is not closed",
    "did not find expected ',' or": "a comma is missing, or a bracket or brace is not closed",
    "did not find expected": "the indentation does not match the lines before, or a quote or bracket is missing",
    "could not find expected ':'": "a colon after a key is missing, or the indentation does not match the lines before",
    "unexpected end of stream": "a quote is not closed",
    "undefined alias": "the alias (*) has no anchor (&) before it",
    "control characters are not allowed": "control characters are not allowed",
    "2002:value": "`=` alone is not a value. Put it in quotes",
    "could not determine a constructor": "this tag (!) is not allowed",
    "unhashable": "a list or a mapping cannot be a key",
    "expected a mapping": "a merge key (<<) needs a mapping, or a list of mappings",
}
"""Part of a message of libyaml or PyYAML -> the sentence for users."""


def _describe_yaml_error(error: yaml.YAMLError, text: str) -> str:
    if type(error) is yaml.YAMLError:  # from _refusal
        return str(error)
    message = " ".join(str(error).split())
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    why = next((sentence for part, sentence in _YAML_PROBLEMS.items() if part in message), "this is not valid YAML")
    if isinstance(error, _DuplicateKeyError):
        why = str(error.problem)
    if mark is None:
        return why
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        why = "the line is indented with a tab. Use spaces"
    return f"line {mark.line + 1}, column {mark.column + 1}: {why}"


def describe_os_error(error: OSError) -> str:
    """Describes why a file cannot be read or written, as the end of a sentence about the file."""
    match error:
        case FileNotFoundError():
            return "does not exist"
        case PermissionError():
            return "access is denied (check the owner and the mode of the file, and of its folders)"
        case IsADirectoryError():
            return "is a folder, not a file"
        case NotADirectoryError():
            return "a part of the path is not a folder"
    return (error.strerror or str(error)).lower()


def _has_more(text: str) -> bool:
    """Whether content follows the first document of a text whose first document is valid."""
    events = yaml.parse(text, yaml.CSafeLoader)
    try:
        while not isinstance(next(events, None), yaml.DocumentEndEvent | None):
            pass
        return any(getattr(each, "value", "") or isinstance(each, yaml.CollectionStartEvent) for each in events)
    except yaml.YAMLError:
        return True


def _check_events(text: str, *, has_aliases: bool, is_first_only: bool) -> None:
    depth = 0
    sizes = _Sizes()
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) and not has_aliases:
            raise _refusal("an alias (*) is not allowed here: write the value in full", event)
        if not has_aliases and getattr(event, "tag", None) not in {None, "!"}:
            raise _refusal("a tag (!) is not allowed here", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH} levels", event)
        sizes.count(event)
        if is_first_only and isinstance(event, yaml.DocumentEndEvent):
            return


class _Sizes:
    """Counts values, with the values that aliases stand for: a small text can stand for more values than the memory can hold."""

    def __init__(self) -> None:
        self._open: list[tuple[str | None, int]] = []
        self._of_anchors: dict[str, int] = {}

    def count(self, event: yaml.Event) -> None:
        """Raises yaml.YAMLError if the values are too many, or a value contains itself."""
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == each for each, _ in self._open):
                raise _refusal(f"the alias *{anchor} is inside of the value that it stands for", event)
            self._add(self._of_anchors.get(str(anchor), 0), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((anchor, 1))
        elif isinstance(event, yaml.ScalarEvent):
            self._close(anchor, 1, event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(*self._open.pop(), event)

    def _close(self, anchor: str | None, size: int, event: yaml.Event) -> None:
        if anchor is not None:
            self._of_anchors[anchor] = size
        self._add(size, event)

    def _add(self, size: int, event: yaml.Event) -> None:
        if not self._open:
            return
        anchor, before = self._open.pop()
        if before + size > MAX_VALUES:
            raise _refusal(f"contains more than {MAX_VALUES} values", event)
        self._open.append((anchor, before + size))


def _refusal(why: str, event: yaml.Event) -> yaml.YAMLError:
    where = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
    return yaml.YAMLError(f"{where}{why}")


class _DuplicateKeyError(yaml.constructor.ConstructorError):
    """Two equal keys in a mapping."""


class _UniqueKeys(yaml.CSafeLoader):
    """A YAML loader that refuses two equal keys in a mapping. Other YAML loaders silently use the last key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Hashable] = set()
        for key in filter(
            lambda each: isinstance(each, Hashable), keys
        ):  # the loader itself refuses keys that are not hashable
            if key in seen:
                raise _DuplicateKeyError(None, None, f"the key {key!r} appears twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Loader(_UniqueKeys):
    """The loader for files that kubectl does not read."""


class _KubectlLoader(_UniqueKeys, KubectlLoader):
    """The loader for files that kubectl reads, too."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A value in a document, and the path of the value. problems, warnings: one list for the whole document.

    lenient: scalars are accepted in place of text, as in nfd-worker. A warning reports a number that is not read as it is written.
    """

    value: Any
    path: str = ""
    problems: list[str] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    lenient: bool = False

    def report(self, why: str) -> None:
        self.problems.append(f"{self.path or 'the document'}: {why}")

    def child(self, step: str, value: Any) -> "Cursor":
        path = step if not self.path else f"{self.path}{step}" if step.startswith("[") else f"{self.path}.{step}"
        return Cursor(value=value, path=path, problems=self.problems, warnings=self.warnings, lenient=self.lenient)

    def fields(
        self, known: Sequence[str], required: Sequence[str] = (), *, places: Mapping[str, tuple[str, ...]] | None = None
    ) -> dict[str, "Cursor"]:
        """Returns the known fields that are not null, and reports unknown and missing fields.

        places: the sections of the whole schema that contain a key, for hints; see `key_places`.
        """
        entries = self.mapping()
        for key, cursor in entries.items():
            if key not in known:
                hint = place_hint(key, known, places or {}) if len(self.problems) < MAX_HINTS else ""
                cursor.report(f"unknown key{hint}")
        for key in required if isinstance(self.value, Mapping) else ():
            if key not in entries:
                self.child(key, None).report("is missing")
        return {key: each for key, each in entries.items() if key in known and each.value is not None}

    def mapping(self) -> dict[str, "Cursor"]:
        if not isinstance(self.value, Mapping):
            self._expected("a mapping")
            return {}
        for key in self.value:
            if not is_text(key):
                self.child(_step(repr(key)), None).report(f"expected text as a key, got {describe(key)}")
        return {key: self.child(_step(key), value) for key, value in self.value.items() if is_text(key)}

    def items(self) -> Iterator["Cursor"]:
        if isinstance(self.value, list):
            return (self.child(f"[{index}]", item) for index, item in enumerate(self.value))
        self._expected("a list")
        return iter(())

    def text(self) -> str:
        value = self.value
        if self.lenient and isinstance(value, bool | int | float):
            text = str(value).lower().removesuffix(".0")
            if (written := getattr(value, "text", text)) != text:
                self.warnings.append(
                    f"{self.path}: {written} is read as the number {text}. For the text, write '{written}'"
                )
            return text
        if is_text(value):
            return str(value)
        self._expected("text")
        return ""

    def texts(self) -> tuple[str, ...]:
        return tuple(cursor.text() for cursor in self.items())

    def text_map(self) -> dict[str, str]:
        return {key: cursor.text() for key, cursor in self.mapping().items()}

    def check(self, into: Any, places: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Reports each part of the value that does not match a type of msgspec. places: see `fields`."""
        struct, item, entries = struct_of(into), item_type(into), entry_types(into)
        if struct is not None:
            fields = {each.encode_name: each for each in fields_of(struct)}
            required = [name for name, each in fields.items() if each.required]
            for name, cursor in self.fields(list(fields), required, places=places).items():
                cursor.check(fields[name].type, places)
        elif item is not None and isinstance(self.value, list):
            for cursor in self.items():
                cursor.check(item, places)
        elif entries is not None and isinstance(self.value, Mapping):
            for key, value in self.value.items():
                cursor = self.child(_step(str(key)), value)
                if not _matches({key: None}, dict[entries[0], Any]):  # type: ignore[valid-type]
                    cursor.report(f"this key {mismatch(key, entries[0])}")
                cursor.check(entries[1], places)
        elif not _matches(self.value, into):
            self.report(mismatch(self.value, into))

    def _expected(self, what: str) -> None:
        self.report(f"expected {what}, got {describe(self.value)}")


_CONTENTS = {"ConfigMap": "one key of its `data`", "NodeFeatureDiscovery": "its `spec.workerConfig.configData`"}
"""Kind of an object that contains a config file -> where."""


def decode_struct(data: Any, into: type[StructType], *, source: str) -> StructType:
    """Converts a document to a struct. Raises SettingsError, one line per problem: `<source>: flags.plugin.deviceListStrategy: ...`."""
    if isinstance(data, Mapping) and (where := _CONTENTS.get(str(data.get("kind")))) is not None:
        raise SettingsError([f"{source}: is a {data['kind']}. Write the text of {where} to the file"])
    data = without_nulls(data, into)
    cursor = Cursor(value=data)
    cursor.check(into, key_places(into))
    if not cursor.problems:
        try:
            return msgspec.convert(data, into, str_keys=True)
        except (msgspec.ValidationError, ValueError) as error:  # a check across fields, from __post_init__
            cursor.problems.append(str(error))
    raise SettingsError([f"{source}: {problem}" for problem in cursor.problems])


def remove_keys(data: Any, sentences: Mapping[str, str]) -> tuple[Any, tuple[str, ...]]:
    """Removes keys that have no effect. sentences: path of a key -> why. Returns the data, and one sentence for each removed key."""
    notes: list[str] = []
    for path, why in sentences.items():
        data, is_removed = _remove_key(data, path.split("."))
        notes += [f"{path} has no effect: {why}"] if is_removed else []
    return data, tuple(notes)


def _remove_key(data: Any, path: Sequence[str]) -> tuple[Any, bool]:
    """Returns the data, and whether the removed key had a value."""
    key, *below = path
    if not isinstance(data, Mapping) or key not in data:
        return data, False
    if not below:
        return {name: value for name, value in data.items() if name != key}, not _is_absent(data[key])
    inner, is_removed = _remove_key(data[key], below)
    return {**data, key: inner}, is_removed


def value_at(data: Any, path: str) -> Any:
    """Returns the value at a path of keys with dots between them, or None."""
    for key in path.split("."):
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and all(map(_is_absent, value.values())))


def _matches(value: Any, into: Any) -> bool:
    try:
        msgspec.convert(value, into, str_keys=True)
    except (msgspec.ValidationError, ValueError):
        return False
    return True


def describe(value: Any) -> str:
    """Describes the type of a value for an error message. For a number or a boolean, adds how to write the value as text."""
    if isinstance(value, str):
        return "text" if is_text(value) else "half of a Unicode character"
    if isinstance(value, WrittenInt | WrittenFloat):
        return f"the number {value!r:.40}: put {value.text:.40} in quotes"
    return f"{found(value)}: put the value in quotes" if isinstance(value, bool | int | float) else found(value)


def is_text(value: Any) -> bool:
    """Whether the value is text that UTF-8 can encode. YAML and JSON can also contain one half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _step(key: str) -> str:
    shown = key if len(key) <= _LONG else f"{key[:_LONG]}..."
    return shown if shown.isprintable() else repr(shown)
