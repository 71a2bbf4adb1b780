"""Configs in a ConfigMap, followed by the API: each entry is one, as each file is where a ConfigMap is mounted."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.decode import Document
from node_core.domain.labels import namespace_name_problem, object_name_problem
from node_core.errors import SettingsError
from node_core.runtime.collection_link import CollectionLink


@dataclass(frozen=True, slots=True)
class ConfigMapName:
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_config_map_name(text: str) -> ConfigMapName:
    """Of `namespace/name`. Raises ValueError."""
    namespace, slash, name = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not of the form NAMESPACE/NAME")
    if problem := namespace_name_problem(namespace) or object_name_problem(name):
        raise ValueError(problem)
    return ConfigMapName(namespace, name)


class ConfigMapSource:
    """See named_config.ConfigSource. link: follows the ConfigMap of this name alone."""

    def __init__(self, name: ConfigMapName, link: CollectionLink) -> None:
        self._name = name
        self._link = link

    def read_configs(self) -> Mapping[str, Document] | None:
        objects = self._link.state
        if objects is None:
            return None
        if (found := objects.get(str(self._name))) is None:
            raise SettingsError([f"there is no ConfigMap {self._name}"])
        return parse_config_map(found, f"ConfigMap {self._name}")


def parse_config_map(obj: Mapping[str, Any], shown: str) -> dict[str, Document]:
    """Its entries, text and binary. shown: what problems are said of. Raises SettingsError."""
    try:
        contents = {key: text.encode(errors="surrogatepass") for key, text in (obj.get("data") or {}).items()}
        contents |= {key: base64.b64decode(text) for key, text in (obj.get("binaryData") or {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingsError([f"{shown} cannot be understood: {error}"]) from error
    return {key: Document(source=f"{shown}, {key}", content=contents[key]) for key in sorted(contents)}
