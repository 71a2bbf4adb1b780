"""Recorded clusters: the Nodes and Pods of tests/gpunode/clusters, served by a simulated API server."""

from pathlib import Path
from typing import Any

import yaml

from simulation.apiserver import ApiServer

CLUSTERS = Path(__file__).parent / "clusters"
RESOURCES = {"Node": "nodes", "Pod": "pods", "Event": "events"}


def read_cluster(name: str) -> list[dict[str, Any]]:
    """Returns the objects of a file, without `.yaml`."""
    return list(yaml.load_all((CLUSTERS / f"{name}.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def load_cluster(server: ApiServer, name: str) -> None:
    """Creates the objects as they are: no defaults, no validation."""
    for each in read_cluster(name):
        server.store.create(RESOURCES[each["kind"]], each)
