"""Finds the config files in a document: the document itself, ConfigMaps, and the values of Helm charts. PURE."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpu_core.settings.nvidia_config import SECTIONS
from nfd_lite.config import WITHOUT_EFFECT, WorkerFile
from node_core.decode import Document, parse_documents, parse_yaml, text_of, value_at
from node_core.errors import SettingsError
from node_core.runtime.config_map import parse_config_map
from node_core.schema import similar


class Kind(StrEnum):
    """NVIDIA: the config file of the device plugin and of GPU Feature Discovery. NFD: nfd-worker.conf, or nfd-master.conf."""

    NVIDIA = "nvidia"
    NFD = "nfd"


KEYS: Mapping[Kind, frozenset[str]] = {
    Kind.NVIDIA: frozenset(SECTIONS),
    Kind.NFD: frozenset(WorkerFile.__struct_fields__) | {key.partition(".")[0] for key in WITHOUT_EFFECT},
}
"""The keys at the top level of each kind of file."""
MAX_KEYS = 50
"""The number of keys that decide on the kind of a file. A file of either kind has fewer."""
IN_VALUES = ("config.map", "devicePlugin.config.data")
"""Values of charts with config files by name."""
VALUES = (
    "nfd.config",
    *(f"{part}{agent}.config" for part in ("", "nfd.", "node-feature-discovery.") for agent in ("worker", "master")),
)
"""Values of charts that are a config file of Node Feature Discovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """document: the text of one file. Its source names the place in the file that contains it."""

    kind: Kind
    document: Document


def find_configs(document: Document, kind: Kind | None = None) -> tuple[ConfigFile, ...]:
    """Returns the config files of a document, at least one. kind: of the files; None to recognise the kind. Raises SettingsError."""
    found: list[ConfigFile] = []
    problems: list[str] = []
    for each in _documents(document):
        try:
            found.append(ConfigFile(kind=kind or recognise(parse_yaml(each), each.source), document=each))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tuple(found)


def recognise(data: Any, source: str) -> Kind:
    """Returns the kind of a config file: the kind that has at least half of the keys, correct or misspelt. Raises SettingsError."""
    keys = [key for key in data if isinstance(key, str)][:MAX_KEYS] if isinstance(data, Mapping) else []
    for nearest in (_exact, similar):
        counts = {kind: sum(nearest(key, known) is not None for key in keys) for kind, known in KEYS.items()}
        best, other = sorted(Kind, key=lambda kind: counts[kind], reverse=True)
        if 2 * counts[best] >= len(keys) > 0 and counts[best] > counts[other]:
            return best
    raise SettingsError([f"{source}: is not recognised as a config file. Use --kind nvidia or --kind nfd"])


def _exact(key: str, known: Iterable[str]) -> str | None:
    return key if key in known else None


def _documents(document: Document) -> tuple[Document, ...]:
    """Returns the document, or the config files that it contains. Raises SettingsError."""
    contents = _objects(document) or _values(document)
    return contents if contents is not None else (document,)


def _objects(document: Document) -> tuple[Document, ...] | None:
    """Returns the config files in a manifest, or None for another file. Raises SettingsError."""
    objects = _parse_objects(document)
    if not any(map(_is_object, objects)):
        return None
    found = tuple(each for one in objects for each in _in_object(one, document.source))
    if not found:
        kinds = ", ".join(sorted({str(each["kind"]) for each in objects if _is_object(each)}))
        raise SettingsError([f"{document.source}: contains {kinds}, but no ConfigMap with config files"])
    return found


def _parse_objects(document: Document) -> Sequence[Any]:
    """Parses the document, or the documents if all are objects of Kubernetes. Raises SettingsError."""
    try:
        return [parse_yaml(document)]
    except SettingsError as error:
        with suppress(SettingsError):
            if all(map(_is_object, objects := parse_documents(text_of(document), document.source))):
                return objects
        raise error from None


def _is_object(data: Any) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("kind"), str) and isinstance(data.get("apiVersion"), str)


def _in_object(data: Any, source: str) -> Iterator[Document]:
    if not _is_object(data):
        return
    if isinstance(items := data.get("items"), list):
        for each in items:
            yield from _in_object(each, source)
    elif data["kind"] == "ConfigMap":
        yield from parse_config_map(data, f"{source}: ConfigMap {value_at(data, 'metadata.name')}").values()
    elif data["kind"] == "NodeFeatureDiscovery" and isinstance(
        text := value_at(data, path := "spec.workerConfig.configData"), str
    ):
        yield Document(source=f"{source}: {path}", content=text.encode(errors="surrogatepass"))


def _values(document: Document) -> tuple[Document, ...] | None:
    """Returns the config files in the values of a chart, or None for another file."""
    data = parse_yaml(document)
    maps = {path: entries for path in IN_VALUES if isinstance(entries := value_at(data, path), Mapping)}
    found = {f"{path}.{name}": content for path, entries in maps.items() for name, content in entries.items()}
    found |= {path: content for path in VALUES if isinstance(content := value_at(data, path), Mapping)}
    documents = tuple(_to_document(f"{document.source}: {path}", each) for path, each in found.items() if each)
    return documents or None


def _to_document(source: str, content: Any) -> Document:
    """Values contain a config file as text, or as a mapping."""
    text = content if isinstance(content, str) else json.dumps(content, default=str)
    return Document(source=source, content=text.encode(errors="surrogatepass"))
