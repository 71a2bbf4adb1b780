"""The values of the chart gpunode while they are collected, with the origin of each value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One of our values. origins: where it comes from, for people: the path of the value in the other chart."""

    value: Any
    origins: tuple[str, ...]


@dataclass
class Draft:
    """values: by the path of our value. actions, unnecessary: sentence -> the values of other charts that it is about.

    problems: sentences about config files in the values that the agents refuse. refusals: values of the wrong type, with their paths.
    """

    values: dict[str, Found] = field(default_factory=dict)
    actions: dict[str, list[str]] = field(default_factory=dict)
    unnecessary: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        found = self.values.get(path)
        return None if found is None else found.value

    def take(self, path: str) -> Found | None:
        return self.values.pop(path, None)

    def put(self, path: str, value: Any, *origins: str) -> None:
        """Replaces a value."""
        self.values[path] = Found(value=value, origins=origins)

    def add(self, path: str, value: Any, *origins: str) -> None:
        """Adds a value. Lists and mappings are joined with the value of another origin; of other values the first stays, with an action."""
        if (before := self.values.get(path)) is None:
            self.put(path, value, *origins)
        elif (joined := _join(before.value, value)) is not None:
            self.put(path, joined, *dict.fromkeys((*before.origins, *origins)))
        else:
            text = f"{before.origins[0]} sets another `{path}`, which stays. Set the value that you want."
            for origin in origins:
                self.advise(origin, text)

    def advise(self, path: str, sentence: str) -> None:
        self._report(self.actions, path, sentence)

    def drop(self, path: str, sentence: str) -> None:
        self._report(self.unnecessary, path, sentence)

    def _report(self, where: dict[str, list[str]], path: str, sentence: str) -> None:
        paths = where.setdefault(sentence, [])
        if path not in paths:
            paths.append(path)


def _join(first: Any, second: Any) -> Any:
    if first == second:
        return first
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *(each for each in second if each not in first)]
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return merge(second, first)
    return None


def merge(first: Any, second: Any) -> Any:
    """Merges values as `helm -f first -f second` does: mappings are merged, and any other value of the second replaces the first."""
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return second
    return {**first, **{key: merge(first.get(key), value) for key, value in second.items()}}
