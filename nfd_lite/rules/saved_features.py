"""Features from a file: a NodeFeature object, or its `spec.features`. Source: NFD's CRD NodeFeature, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Mapping

from nfd_lite.rules.documents import parse_documents
from nfd_lite.rules.spot import Spot
from node_core.domain.features import Features
from node_core.errors import SettingsError


def parse_saved_features(text: str, source: str) -> Features:
    """Raises SettingsError with every problem."""
    documents = parse_documents(text, source)
    if len(documents) != 1:
        raise SettingsError([f"{source}: expected one document with the features of a node, got {len(documents)}"])
    spot = Spot(value=documents[0])
    features = _read_features(_find(spot))
    if spot.notes:
        raise SettingsError([f"{source}: {note}" for note in spot.notes])
    return features


def _find(spot: Spot) -> Spot:
    """spec.features of a whole object; else all of it."""
    if not (isinstance(spot.value, Mapping) and "spec" in spot.value):
        return spot
    spec = spot.mapping()["spec"].record(("features", "labels"), required=("features",))
    return spec.get("features", spot.below("spec.features", {}))


def _read_features(spot: Spot) -> Features:
    fields = spot.record(("flags", "attributes", "instances"))
    kinds = {kind: _elements(fields[kind]) if kind in fields else {} for kind in ("flags", "attributes", "instances")}
    return Features(
        flags={name: frozenset(elements.mapping()) for name, elements in kinds["flags"].items()},
        attributes={name: elements.text_map() for name, elements in kinds["attributes"].items()},
        instances={name: tuple(map(_instance, elements.items())) for name, elements in kinds["instances"].items()},
    )


def _elements(spot: Spot) -> dict[str, Spot]:
    records = {name: feature.record(("elements",), required=("elements",)) for name, feature in spot.mapping().items()}
    return {name: record["elements"] for name, record in records.items() if "elements" in record}


def _instance(spot: Spot) -> dict[str, str]:
    fields = spot.record(("attributes",), required=("attributes",))
    return fields["attributes"].text_map() if "attributes" in fields else {}
