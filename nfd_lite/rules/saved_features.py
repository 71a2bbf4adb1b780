"""Parses features from a NodeFeature object or its `spec.features`. Source: NFD's CRD NodeFeature, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Mapping

from node_core.decode import Cursor, parse_documents
from node_core.domain.features import Features
from node_core.errors import SettingsError


def parse_saved_features(text: str, source: str) -> Features:
    """Raises SettingsError with all problems."""
    documents = parse_documents(text, source)
    if len(documents) != 1:
        raise SettingsError([f"{source}: expected one document with the features of a node, got {len(documents)}"])
    cursor = Cursor(value=documents[0])
    features = _read_features(_find_features(cursor))
    if cursor.problems:
        raise SettingsError([f"{source}: {note}" for note in cursor.problems])
    return features


def _find_features(cursor: Cursor) -> Cursor:
    """Returns spec.features of an object; otherwise the whole document."""
    if not (isinstance(cursor.value, Mapping) and "spec" in cursor.value):
        return cursor
    spec = cursor.mapping()["spec"].fields(("features", "labels"), required=("features",))
    return spec.get("features", cursor.child("spec.features", {}))


def _read_features(cursor: Cursor) -> Features:
    fields = cursor.fields(("flags", "attributes", "instances"))
    kinds = {kind: _elements(fields[kind]) if kind in fields else {} for kind in ("flags", "attributes", "instances")}
    return Features(
        flags={name: frozenset(elements.mapping()) for name, elements in kinds["flags"].items()},
        attributes={name: elements.text_map() for name, elements in kinds["attributes"].items()},
        instances={name: tuple(map(_instance, elements.items())) for name, elements in kinds["instances"].items()},
    )


def _elements(cursor: Cursor) -> dict[str, Cursor]:
    records = {
        name: feature.fields(("elements",), required=("elements",)) for name, feature in cursor.mapping().items()
    }
    return {name: record["elements"] for name, record in records.items() if "elements" in record}


def _instance(cursor: Cursor) -> dict[str, str]:
    fields = cursor.fields(("attributes",), required=("attributes",))
    return fields["attributes"].text_map() if "attributes" in fields else {}
