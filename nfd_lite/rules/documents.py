"""YAML from people and clusters, with limits that no hostile file gets around: size, depth, no aliases, no tags."""

from collections.abc import Hashable
from typing import Any

import yaml

from node_core.errors import SettingsError

MAX_TEXT = 1 << 20
MAX_DEPTH = 100


def parse_documents(text: str, source: str) -> tuple[Any, ...]:
    """The documents of a YAML or JSON text, empty ones left out. Raises SettingsError."""
    if len(text) > MAX_TEXT:
        raise SettingsError([f"{source}: is larger than {MAX_TEXT} characters"])
    try:
        _check_events(text)
        return tuple(one for one in yaml.load_all(text, _Loader) if one is not None)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: a date or number that Python cannot be
        raise SettingsError([f"{source}: {' '.join(str(error).split())}"]) from error


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("an alias (*) is not taken here: write out what it stands for", event)
        if getattr(event, "tag", None) not in {None, "!"}:
            raise _refusal("a tag (!) is not taken here", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH} levels", event)


def _refusal(why: str, event: yaml.Event) -> yaml.YAMLError:
    where = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
    return yaml.YAMLError(f"{where}{why}")


class _Loader(yaml.CSafeLoader):
    """Of two equal keys YAML's loaders silently take the last; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and (key.tag, name) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
            seen.add((key.tag, name))
        return super().construct_mapping(node, deep)
