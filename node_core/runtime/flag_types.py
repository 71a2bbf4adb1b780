"""The types of values that flags take: intervals, addresses, paths, names. A wrong value says what a right one looks like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from node_core.domain.duration import parse_interval
from node_core.domain.labels import node_name_problem
from node_core.runtime.config_map import ConfigMapName, parse_config_map_name
from node_core.runtime.http import parse_address


class Interval(click.ParamType["float | Infinite"]):
    """Seconds between passes, None for `infinite`; see domain.duration."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "float | Infinite":
        if isinstance(value, Infinite):
            return value
        try:
            seconds = parse_interval(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return INFINITE if seconds is None else seconds


class Address(click.ParamType[str]):
    """host:port to listen on; empty for nowhere."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if value:
                parse_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class PathType(click.Path):
    """A path that need not exist; pathlib's."""

    def __init__(self, *, may_be_empty: bool = False) -> None:
        super().__init__(path_type=Path)
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value) and not self._may_be_empty:
            self.fail("is empty: name a path", param, ctx)
        return super().convert(value, param, ctx)


class NodeName(click.ParamType[str]):
    """The name of a Node; empty where none is needed."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value and (problem := node_name_problem(value)):
            self.fail(problem, param, ctx)
        return str(value)


class ConfigMapType(click.ParamType[ConfigMapName]):
    """NAMESPACE/NAME; empty for none."""

    name = "namespace/name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_config_map_name(value) if value else None
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Infinite:
    """No periodic passes; click itself uses None for a missing value."""


INFINITE = Infinite()
