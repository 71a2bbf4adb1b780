"""CPU seconds and memory of NodeFeatureGroups: 50 groups in a cluster of 5,000 Nodes, without a cluster.

The Nodes have the features of three kinds of machines with a complete kernel configuration, and names of their own. Half of the groups read
features that are equal on many Nodes, and half also read the name, which differs on every Node.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

from gpu_operator.feature_groups.groups import GroupEvaluation, NodeTable
from gpu_operator.feature_groups.values import ValuePool
from gpu_operator.feature_groups.views import (
    GroupView,
    NodeFeatureView,
    NodeMetadata,
    parse_group,
    parse_node_feature,
)
from node_core.domain.features import Features
from node_core.domain.node_feature import API_VERSION, NODE_NAME_LABEL, render_features

KINDS = 3
OPTIONS = 9000
"""Options of a kernel configuration."""


def make_features(kind: int, node: str) -> Features:
    return Features(
        flags={
            "cpu.cpuid": frozenset(f"FLAG{number}" for number in range(90)),
            "kernel.loadedmodule": frozenset(f"module_{number}" for number in range(150)),
        },
        attributes={
            "kernel.config": {f"OPTION_{number}": "y" for number in range(OPTIONS)},
            "kernel.version": {"full": f"6.{kind}.0", "major": "6", "minor": str(kind)},
            "system.name": {"nodename": node},
        },
        instances={
            "pci.device": tuple({"class": "0302", "vendor": "10de", "device": f"23{kind}{each}"} for each in range(8))
        },
    )


def make_object(kind: int, node: str) -> dict[str, Any]:
    metadata = {"name": node, "namespace": "gpunode", "labels": {NODE_NAME_LABEL: node}}
    return {"metadata": metadata, "spec": {"features": render_features(make_features(kind, node))}}


def make_group(number: int) -> GroupView:
    terms: list[dict[str, Any]] = [
        {"feature": "kernel.version", "matchExpressions": {"minor": {"op": "In", "value": [str(number % KINDS)]}}},
        {"feature": "pci.device", "matchExpressions": {"vendor": {"op": "In", "value": ["10de"]}}},
    ]
    if number % 2:
        terms.append(
            {
                "feature": "system.name",
                "matchExpressions": {"nodename": {"op": "InRegexp", "value": [f"{number % 10}$"]}},
            }
        )
    metadata = {"name": f"g{number}", "namespace": "gpunode", "uid": str(number), "generation": 1}
    rules = [{"name": "r", "matchFeatures": terms}]
    return parse_group({"apiVersion": API_VERSION, "metadata": metadata, "spec": {"featureGroupRules": rules}})


def measure(what: str, work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    print(f"{what:48} {time.process_time() - began:9.4f} s")


def memory() -> int:
    """Returns the maximum resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class Cluster:
    """The Nodes, their objects and the groups."""

    def __init__(self, nodes: int, groups: int) -> None:
        self.names = [f"node-{number}" for number in range(nodes)]
        self.nodes = {name: NodeMetadata(uid=name, labels={"kubernetes.io/hostname": name}) for name in self.names}
        self.groups = [make_group(number) for number in range(groups)]
        self.evaluations = [GroupEvaluation(group) for group in self.groups]
        self.table = NodeTable("gpunode")
        self.pool = ValuePool()
        self.objects: dict[str, NodeFeatureView] = {}

    def parse(self) -> float:
        """Parses as an informer does: objects are dropped at once. Returns the CPU seconds."""
        seconds = 0.0
        for number, name in enumerate(self.names):
            text = json.dumps(make_object(number % KINDS, name))
            began = time.process_time()
            view = parse_node_feature(json.loads(text), self.pool)
            seconds += time.process_time() - began
            assert view is not None
            self.objects[f"gpunode/{name}"] = view
        return seconds

    def run(self) -> None:
        changed = self.table.update(self.nodes, self.objects)
        for group, evaluation in zip(self.groups, self.evaluations, strict=True):
            if evaluation.update(self.table.facts, changed):
                evaluation.result(group)

    def change(self, name: str) -> None:
        """Gives one Node the features of another kind of machine, as if its informer had parsed a new state."""
        view = parse_node_feature(make_object(KINDS, name), self.pool)
        assert view is not None
        self.objects = {**self.objects, f"gpunode/{name}": view}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--groups", type=int, default=50)
    options = parser.parse_args()
    cluster = Cluster(options.nodes, options.groups)
    print(f"{options.nodes} Nodes, {options.groups} groups; CPU seconds")
    before = memory()
    print(f"{'parse all NodeFeatures':48} {cluster.parse():9.4f} s")
    measure("full pass", cluster.run)
    print(f"{'memory of all objects and results':48} {memory() - before:9} MiB")
    measure("pass without a change", cluster.run)
    cluster.change(cluster.names[0])
    measure("pass after one Node changed", cluster.run)


if __name__ == "__main__":
    main()
