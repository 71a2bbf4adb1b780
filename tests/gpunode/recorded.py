"""Recorded clusters: the objects of tests/gpunode/clusters, served by a simulated API server."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from simulation.apiserver import ApiServer

CLUSTERS = Path(__file__).parent / "clusters"
RESOURCES = {
    "Node": "nodes",
    "Pod": "pods",
    "Event": "events",
    "Namespace": "namespaces",
    "DaemonSet": "daemonsets.apps",
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "Job": "jobs.batch",
    "CronJob": "cronjobs.batch",
    "ResourceSlice": "resourceslices.resource.k8s.io",
    "DeviceClass": "deviceclasses.resource.k8s.io",
    "ResourceClaim": "resourceclaims.resource.k8s.io",
}
CREATED = datetime(2026, 3, 1, 8, tzinfo=UTC)
"""The creationTimestamp of all objects."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""A time shortly after all other times in the objects."""


def read_cluster(name: str) -> list[dict[str, Any]]:
    """Returns the objects of a file, without `.yaml`."""
    return list(yaml.load_all((CLUSTERS / f"{name}.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def load_cluster(server: ApiServer, name: str) -> None:
    """Creates the objects of a file."""
    store_objects(server, read_cluster(name))


def store_objects(server: ApiServer, items: Iterable[dict[str, Any]]) -> None:
    """Creates the objects at CREATED as they are: no defaults, no validation."""
    clock, server.store.clock = server.store.clock, lambda: CREATED
    for each in items:
        server.store.create(RESOURCES[each["kind"]], each)
    server.store.clock = clock
