"""Describes the types of msgspec schemas, and the values that do not match them, in sentences for users. PURE."""

import enum
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, UnsetType

_LENGTH = 40
_TYPO = 0.8
"""The similarity of a word and its misspelt form. Keys of other sections that are less similar have another meaning."""
_NUMBERS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def suggest(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean X?)`, or an empty text if no known word is similar. Words that differ only in case are similar."""
    near = similar(word, known)
    return f" (did you mean {near}?)" if near else ""


def similar(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Returns the known word that is most similar, if any is similar. cutoff: the smallest similarity, from 0 to 1."""
    words = list(known)
    near = [each for each in words if each.lower() == word.lower()]
    if not near:
        import difflib  # noqa: PLC0415 - only after an error

        near = difflib.get_close_matches(word, words, n=1, cutoff=cutoff)
    return near[0] if near else None


def alternatives(into: Any) -> tuple[Any, ...]:
    """Returns the types of a union, without None and UNSET, or the type itself."""
    if get_origin(into) in (Union, types.UnionType):
        return tuple(each for one in get_args(into) for each in alternatives(one))
    return () if into in (type(None), UnsetType) else (into,)


@cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Returns the fields of a struct. msgspec evaluates the annotations again at each call."""
    return msgspec.structs.fields(struct)


def struct_of(into: Any) -> type[msgspec.Struct] | None:
    """Returns the struct of a type, or None if values of the type are not mappings with fixed keys."""
    return next(
        (each for each in alternatives(into) if isinstance(each, type) and issubclass(each, msgspec.Struct)), None
    )


def item_type(into: Any) -> Any:
    """Returns the type of the items of a list, or None if values of the type are not lists."""
    for each in alternatives(into):
        if get_origin(each) is list or (get_origin(each) is tuple and get_args(each)[1:] == (...,)):
            return get_args(each)[0]
    return None


def entry_types(into: Any) -> tuple[Any, Any] | None:
    """Returns the types of the keys and values of a mapping with any keys, or None if values of the type are not such mappings."""
    return next((get_args(each) for each in alternatives(into) if get_origin(each) is dict), None)


def without_nulls(data: Any, into: Any) -> Any:
    """Removes keys whose value is null. A null key has the same meaning as a missing key. Values of type Any do not change."""
    struct, item, entries = struct_of(into), item_type(into), entry_types(into)
    if struct is not None and isinstance(data, Mapping):
        kinds = {each.encode_name: each.type for each in fields_of(struct)}
        return {key: without_nulls(value, kinds.get(key, Any)) for key, value in data.items() if value is not None}
    if entries is not None and isinstance(data, Mapping):
        return {key: without_nulls(value, entries[1]) for key, value in data.items() if value is not None}
    if item is not None and isinstance(data, list):
        return [without_nulls(value, item) for value in data]
    return data


def key_places(struct: type[msgspec.Struct]) -> Mapping[str, tuple[str, ...]]:
    """Returns key -> the sections of the schema that contain the key, as paths. An empty path is the top level."""
    places: dict[str, tuple[str, ...]] = {}
    for path, key in _keys(struct, ""):
        places[key] = (*places.get(key, ()), path)
    return places


def _keys(struct: type[msgspec.Struct], path: str) -> Iterator[tuple[str, str]]:
    for each in fields_of(struct):
        yield path, each.encode_name
        below = f"{path}.{each.encode_name}" if path else each.encode_name
        inner, item = struct_of(each.type), struct_of(item_type(each.type))
        if inner is not None:
            yield from _keys(inner, below)
        if item is not None:
            yield from _keys(item, f"{below}[]")


def place_hint(key: str, known: Sequence[str], places: Mapping[str, tuple[str, ...]]) -> str:
    """Returns where an unknown key belongs in the schema: a similar key of the same section, or the sections that contain the key."""
    if any(key.lower() == each.lower() for each in known):
        return suggest(key, known)
    if key in places:
        paths = [f"`{path}`" if path else "the top level of the file" for path in places[key][:3]]
        return f". It belongs in {' or '.join(paths)}"
    if hint := suggest(key, known):
        return hint
    if (near := similar(key, places, cutoff=_TYPO)) is None:
        return ""
    path = places[near][0]
    return f" (did you mean {path}.{near}?)" if path else f" (did you mean {near} at the top level of the file?)"


def mismatch(value: Any, into: Any) -> str:
    """Describes why a value does not match a type."""
    kinds = alternatives(into)
    if (form := _form(value, kinds)) is not None:
        return form
    choices = [str(choice) for kind in kinds for choice in _choices(kind)]
    wanted = [*choices, *dict.fromkeys(_wanted(kind) for kind in kinds if not _choices(kind))]
    hint = suggest(value, choices) if isinstance(value, str) else _advice(value, kinds)
    return f"must be {_join(wanted)}, found {found(value)}{hint or _advice(value, kinds)}"


def found(value: Any) -> str:
    """Describes a value that is not valid."""
    if isinstance(value, str):
        return f"the text {value!r:.{_LENGTH}}" if value else "an empty text"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    kinds = {type(None): "nothing", dict: "a mapping", list: "a list", tuple: "a list", set: "a list"}
    kind = "number" if isinstance(value, int | float) else type(value).__name__
    return kinds.get(type(value), f"the {kind} {value!s:.{_LENGTH}}")


def _form(value: Any, kinds: Sequence[Any]) -> str | None:
    """Describes a value of the right type that violates a limit of the type."""
    for kind, meta in map(_constraint, kinds):
        if meta is None or not (isinstance(value, str) if kind is str else _is_number(value, kind)):
            continue
        if kind is not str:
            return f"must be {_range(kind, meta)}, found {found(value)}"
        if meta.description:
            return f"must be {meta.description}, found {found(value)}"
        if meta.max_length is not None and len(value) > meta.max_length:
            return f"must have at most {meta.max_length} characters, but has {len(value)}"
        if not value:
            return "must not be empty"
    return None


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)


def _constraint(kind: Any) -> tuple[Any, Meta | None]:
    if get_origin(kind) is not Annotated:
        return kind, None
    base, *extra = get_args(kind)
    return base, next((each for each in extra if isinstance(each, Meta)), None)


def _range(kind: Any, meta: Meta) -> str:
    name = _NUMBERS[kind]
    low = f"from {_short(meta.ge)}" if meta.ge is not None else f"above {_short(meta.gt)}"
    high = meta.le if meta.lt is None else meta.lt - 1 if kind is int else meta.lt
    if high is None:
        return f"{name} {low}{'' if meta.ge is None else ' up'}"
    return f"{name} {low} to {_short(high)}"


def _short(number: float | None) -> str:
    return f"{number:.0f}" if isinstance(number, float) and number.is_integer() else str(number)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(each.value for each in kind) if isinstance(kind, type) and issubclass(kind, enum.Enum) else ()


def _wanted(kind: Any) -> str:
    base, meta = _constraint(kind)
    if meta is not None and meta.description:
        return meta.description
    if meta is not None and base in (int, float):
        return _range(base, meta)
    if base in _NUMBERS:
        return _NUMBERS[base]
    if get_origin(base) in (list, tuple):
        return "a list"
    return "a mapping"


def _advice(value: Any, kinds: Sequence[Any]) -> str:
    bases = [_constraint(kind)[0] for kind in kinds]
    if str in bases and isinstance(value, bool | int | float):
        return ". Put the value in quotes"
    if isinstance(value, str) and str not in bases and _reads_as_scalar(value, bases):
        return ". Remove the quotes"
    return ""


def _reads_as_scalar(text: str, bases: Sequence[Any]) -> bool:
    number = text.strip().removeprefix("-")
    return (bool in bases and text.lower() in ("true", "false")) or (
        (int in bases or float in bases) and number.isascii() and number.isdigit()
    )


def _join(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "a value"
