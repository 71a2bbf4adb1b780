"""Sprig's list functions; they make new lists. Source: masterminds.github.io/sprig/lists.html."""

from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import identity, type_name


def items_of(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TemplateError(f"cannot find {name} on type {type_name(value)}")
    return value


def list_(*values: Any) -> list[Any]:
    return list(values)


def first(items: Any) -> Any:
    found = items_of(items, "first")
    return found[0] if found else None


def last(items: Any) -> Any:
    found = items_of(items, "last")
    return found[-1] if found else None


def rest(items: Any) -> Any:
    """All but the first; nil for an empty list."""
    return items_of(items, "rest")[1:] if items != [] else None


def initial(items: Any) -> Any:
    return items_of(items, "initial")[:-1] if items != [] else None


def append(items: Any, value: Any) -> list[Any]:
    return [*items_of(items, "push"), value]


def prepend(items: Any, value: Any) -> list[Any]:
    return [value, *items_of(items, "prepend")]


def concat(run: Run, *lists: Any) -> list[Any]:
    found = [items_of(items, "concat") for items in lists]
    run.reserve(sum(map(len, found)))
    return [item for items in found for item in items]


def reverse(items: Any) -> list[Any]:
    return items_of(items, "reverse")[::-1]


def uniq(run: Run, items: Any) -> list[Any]:
    kept: dict[Any, Any] = {}
    for item in items_of(items, "uniq"):
        kept.setdefault(identity(run, item), item)
    return list(kept.values())


def without(run: Run, items: Any, *unwanted: Any) -> list[Any]:
    refused = {identity(run, value) for value in unwanted}
    return [item for item in items_of(items, "without") if identity(run, item) not in refused]


def has(run: Run, wanted: Any, items: Any) -> bool:
    if items is None:
        return False
    sought = identity(run, wanted)
    return any(identity(run, item) == sought for item in items_of(items, "has"))


def compact(items: Any) -> list[Any]:
    """What is not empty."""
    return [item for item in items_of(items, "compact") if item]


def chunk(size: int, items: Any) -> list[Any]:
    found = items_of(items, "chunk")
    if size < 1:
        raise TemplateError(f"cannot make chunks of {size}")
    return [found[start : start + size] for start in range(0, len(found), size)]


FUNCTIONS = table(
    {
        "list": list_,
        "tuple": list_,
        "first": first,
        "mustFirst": first,
        "last": last,
        "mustLast": last,
        "rest": rest,
        "mustRest": rest,
        "initial": initial,
        "mustInitial": initial,
        "append": append,
        "mustAppend": append,
        "push": append,
        "mustPush": append,
        "prepend": prepend,
        "mustPrepend": prepend,
        "concat": concat,
        "reverse": reverse,
        "mustReverse": reverse,
        "uniq": uniq,
        "mustUniq": uniq,
        "without": without,
        "mustWithout": without,
        "has": has,
        "mustHas": has,
        "compact": compact,
        "mustCompact": compact,
        "chunk": chunk,
        "mustChunk": chunk,
    }
)
