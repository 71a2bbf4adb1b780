"""The feature `node.label`: the labels of the Node for rules, including the labels of gfd."""

from collections.abc import Mapping

from node_core.decode import parse_documents
from node_core.domain.features import Features
from node_core.domain.labels import GFD_TIMESTAMP, Labels
from node_core.domain.node import NodeView
from node_core.errors import SettingsError
from node_core.values import replace

MANAGER = "nfd-lite"
"""The field manager of nfd-lite. Rules do not see its labels."""
NODE_LABEL = "node.label"


def select_foreign_labels(node: NodeView) -> Labels:
    """Returns the labels of other field managers, so that rules do not react to their own outputs; without the timestamp of gfd."""
    owned = node.owned.get(MANAGER, frozenset())
    return {key: value for key, value in node.labels.items() if key not in owned and key != GFD_TIMESTAMP}


def with_node_labels(features: Features, labels: Labels) -> Features:
    return replace(features, attributes={**features.attributes, NODE_LABEL: labels})


def parse_node_labels(text: str, source: str) -> Labels:
    """Parses a Node object, YAML or JSON, or `key=value` lines, as `gfd --publish stdout` prints them. Raises SettingsError."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if all("=" in line and ": " not in line for line in lines):
        return dict(line.split("=", 1) for line in lines)
    documents = parse_documents(text, source)
    metadata = documents[0].get("metadata") if len(documents) == 1 and isinstance(documents[0], Mapping) else None
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if not isinstance(labels, Mapping) or not all(isinstance(each, str) for pair in labels.items() for each in pair):
        why = "expected a Node object with labels (kubectl get node NAME -o yaml) or key=value lines"
        raise SettingsError([f"{source}: {why}"])
    return {key: value for key, value in labels.items() if key != GFD_TIMESTAMP}
