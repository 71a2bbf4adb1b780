"""Sprig's list functions. All return new lists. Source: masterminds.github.io/sprig/lists.html."""

from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.run import Run
from gotemplate.values import NilList, comparison_key, type_name


def items_of(value: Any, name: str) -> list[Any]:
    """Returns the value if it is a list. Raises TemplateError with the name of the function."""
    if not isinstance(value, list):
        raise TemplateError(f"cannot find {name} on type {type_name(value)}")
    return value


def list_(*values: Any) -> list[Any]:
    return list(values)


def first(items: Any) -> Any:
    values = items_of(items, "first")
    return values[0] if values else None


def last(items: Any) -> Any:
    values = items_of(items, "last")
    return values[-1] if values else None


def rest(items: Any) -> Any:
    """Returns the list without its first element; a nil slice for an empty list."""
    return items_of(items, "rest")[1:] if items != [] else NilList()


def initial(items: Any) -> Any:
    return items_of(items, "initial")[:-1] if items != [] else NilList()


def append(items: Any, value: Any) -> list[Any]:
    return [*items_of(items, "push"), value]


def prepend(items: Any, value: Any) -> list[Any]:
    return [value, *items_of(items, "prepend")]


def concat(run: Run, *lists: Any) -> list[Any]:
    values = [items_of(items, "concat") for items in lists]
    run.reserve(sum(map(len, values)))
    return [item for items in values for item in items] or NilList()


def reverse(items: Any) -> list[Any]:
    return items_of(items, "reverse")[::-1]


def uniq(run: Run, items: Any) -> list[Any]:
    unique: dict[Any, Any] = {}
    for item in items_of(items, "uniq"):
        unique.setdefault(comparison_key(run, item), item)
    return list(unique.values())


def without(run: Run, items: Any, *unwanted: Any) -> list[Any]:
    refused = {comparison_key(run, value) for value in unwanted}
    return [item for item in items_of(items, "without") if comparison_key(run, item) not in refused]


def has(run: Run, element: Any, items: Any) -> bool:
    if items is None:
        return False
    key = comparison_key(run, element)
    return any(comparison_key(run, item) == key for item in items_of(items, "has"))


def compact(items: Any) -> list[Any]:
    """Returns the elements that are not empty."""
    return [item for item in items_of(items, "compact") if item]


def chunk(size: int, items: Any) -> list[Any]:
    """Splits a list into lists of that size. A negative size gives the same as in Sprig: no chunk, or one for a list of one element."""
    values = items_of(items, "chunk")
    if size < -1 and len(values) == 1:
        return [values]
    if size < 1 and not 1 < len(values) <= 1 - size:
        raise TemplateError(f"cannot make chunks of {size}")
    return [values[start : start + size] for start in range(0, len(values), size)]


FUNCTIONS = function_table({
    "list tuple": list_, "first mustFirst": first, "last mustLast": last, "rest mustRest": rest,
    "initial mustInitial": initial, "append mustAppend push mustPush": append, "prepend mustPrepend": prepend,
    "concat": concat, "reverse mustReverse": reverse, "uniq mustUniq": uniq, "without mustWithout": without,
    "has mustHas": has, "compact mustCompact": compact, "chunk mustChunk": chunk,
})  # fmt: skip
