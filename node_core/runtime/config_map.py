"""Configs in a ConfigMap, which is watched by the API. Each entry is a config."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.decode import Document
from node_core.domain.labels import namespace_name_problem, object_name_problem
from node_core.errors import SettingsError
from node_core.runtime.informers import CollectionInformer


class ConfigMapName(msgspec.Struct, frozen=True):
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_config_map_name(text: str) -> ConfigMapName:
    """Parses `namespace/name`. Raises ValueError."""
    namespace, slash, name = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not of the form NAMESPACE/NAME")
    if problem := namespace_name_problem(namespace) or object_name_problem(name):
        raise ValueError(problem)
    return ConfigMapName(namespace, name)


class ConfigMapSource:
    """Satisfies named_config.ConfigSource. informer: the informer for the ConfigMap with this name only."""

    def __init__(self, name: ConfigMapName, informer: CollectionInformer) -> None:
        self._name = name
        self._informer = informer

    def read_configs(self) -> Mapping[str, Document] | None:
        objects = self._informer.state
        if objects is None:
            return None
        if (found := objects.get(str(self._name))) is None:
            raise SettingsError([f"the ConfigMap {self._name} does not exist"])
        return parse_config_map(found, f"ConfigMap {self._name}")


def parse_config_map(obj: Mapping[str, Any], shown: str) -> dict[str, Document]:
    """Parses the entries of a ConfigMap, text and binary. shown: the name of the ConfigMap in problems. Raises SettingsError."""
    try:
        contents = {key: text.encode(errors="surrogatepass") for key, text in (obj.get("data") or {}).items()}
        contents |= {key: base64.b64decode(text) for key, text in (obj.get("binaryData") or {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingsError([f"{shown} cannot be parsed: {error}"]) from error
    return {key: Document(source=f"{shown}, {key}", content=contents[key]) for key in sorted(contents)}
