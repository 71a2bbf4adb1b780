"""Translates the conditions of the admission policies from CEL to Python. Supports only the CEL expressions that these policies use."""

import re
from collections.abc import Callable, Mapping
from functools import cache

_FORMS = (
    (r"variables\.oldCapacity\[\?k\]\.orValue\('0'\) == '0'", "True"),
    (r"variables\.\w+\.exists\(owned, \('f:' \+ \w\) in owned\)", "False"),
    (r"\w in variables\.(pausedLabels|newAnnotations)", "False"),
    (r"variables\.(\w+)", r"account['\1']"),
    (r"\b(\w)\.startsWith\(", r"\1.startswith("),
    (r"\b(\w)\.contains\(('[^']*')\)", r"(\2 in \1)"),
    (r"\b(\w)\.matches\(('[^']*')\)", r"bool(re.search(\2, \1))"),
    (r"&&", "and"),
    (r"\|\|", "or"),
    (r"!(?!=)", "not "),
)


@cache
def exemptions(expression: str) -> list[Callable[[Mapping[str, bool], str], bool]]:
    """Returns a function for each filter `.filter(k, !(...))` that depends on the account: whether the account owns a key.

    Assumes that other field managers own nothing.
    """
    bodies = _bodies(" ".join(expression.split()))
    return [_compile(name, body) for name, body in bodies if re.search(r"variables\.(nfd|gfd|plugin)\b", body)]


def _bodies(text: str) -> list[tuple[str, str]]:
    """The parameter and the condition of each filter."""
    found = []
    for match in re.finditer(r"\.filter\((\w+), !\(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append((match[1], text[match.end() : end - 1]))
    return found


def _compile(name: str, body: str) -> Callable[[Mapping[str, bool], str], bool]:
    for form, python in _FORMS:
        body = re.sub(form, python, body)
    code = compile(body.strip(), "<policy>", "eval")
    return lambda account, text: bool(eval(code, {"re": re, "account": account, name: text}))  # noqa: S307 - the expression is from this repository
