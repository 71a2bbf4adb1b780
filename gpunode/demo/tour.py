"""The tour, step by step: wait until a thing is true on the Node, then show it."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import yaml
from rich.console import Console

from gpunode.demo import pod
from gpunode.demo.changes import NodeState, diff_nodes, group_labels
from gpunode.demo.render import (
    render_amount,
    render_change,
    render_commands,
    render_facts,
    render_labels,
    render_manifest,
    render_resources,
    render_step,
)
from gpunode.demo.stage import Stage
from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError

PATIENCE = 30.0
"""Seconds to wait for one step before the tour ends with what is not ready."""


class TourError(Exception):
    """A step did not come true; the message says which checks are not ready and why."""


class Tour:
    """scenario: None for real GPUs."""

    def __init__(self, stage: Stage, scenario: str | None, console: Console) -> None:
        self._stage = stage
        self._scenario = scenario
        self._console = console

    def show(self, *, stays: bool) -> None:
        """All steps once. stays: whether the cluster is still there afterwards. Raises TourError."""
        inventory = self._look()
        self._show_surroundings(inventory)
        beside = " and the GPUs' simulated PCI functions" if self._scenario and inventory.gpus else ""
        self._show_labels(1, "nfd-lite", f"reads this machine{beside}", has_gpus=bool(inventory.gpus))
        self._show_labels(2, "gfd", f"reads the GPUs, {self._kind()}", has_gpus=bool(inventory.gpus))
        resources = self._show_resources(inventory)
        if resources:
            self._show_pod(resources)
        self._show_commands(stays=stays)

    def follow(self) -> None:
        """What changes on the Node from now on, a line each, until Ctrl-C."""
        self._console.print("\nWatching this Node. Ctrl-C ends everything.\n", style="bright_black")
        before = self._stage.node()
        try:
            while True:
                version = self._stage.server.store.version
                after = self._stage.node()
                for change in diff_nodes(before, after):
                    self._console.print(render_change(change, datetime.now().astimezone().strftime("%H:%M:%S")))
                before = after
                self._stage.server.store.events(("nodes",), version, timeout=1.0)
        except KeyboardInterrupt:
            self._console.print("\nStopping.", style="bright_black")

    def _look(self) -> Inventory:
        try:
            return self._stage.edges.inventory.look()
        except NvmlError as error:
            return Inventory(driver=None, why_empty=str(error))

    def _kind(self) -> str:
        return "real ones" if self._scenario is None else f"simulated: {self._scenario}"

    def _show_surroundings(self, inventory: Inventory) -> None:
        models = sorted({gpu.model for gpu in inventory.gpus})
        gpus = f"{len(inventory.gpus)} x {', '.join(models)}" if models else inventory.why_empty or "none"
        self._console.print("gpunode demo", style="bold")
        facts = {
            "Node": f"{self._stage.node_name}: this machine",
            "GPUs": f"{self._kind()} ({gpus})",
            "API server": f"{self._stage.server.url}, a stand-in on loopback",
            "kubelet": f"a stand-in in {self._stage.directory / 'device-plugins'}",
            "agents' log": str(self._stage.log_file),
        }
        self._console.print(render_facts(facts))

    def _show_labels(self, number: int, agent: str, what: str, *, has_gpus: bool) -> None:
        def published(node: NodeState) -> Mapping[str, str]:
            labels = group_labels(node.labels)[agent]
            complete = not has_gpus or any(key.startswith("nvidia.com/gpu.") for key in labels)
            return labels if complete else {}

        labels = self._until(published, agent)
        self._console.print(render_step(number, f"{agent} {what}", agent, f"{len(labels)} labels"))
        self._console.print(render_labels(labels, agent))

    def _show_resources(self, inventory: Inventory) -> Mapping[str, tuple[str, str]]:
        agent = "gpu-device-plugin"
        if not inventory.gpus:
            why = inventory.why_empty or "there are none"
            self._console.print(render_step(3, f"{agent} advertises nothing", agent, why))
            return {}
        resources: Mapping[str, tuple[str, str]] = self._until(lambda node: node.resources, agent)
        self._console.print(render_step(3, f"{agent} registers at the kubelet", agent, render_amount(resources)))
        self._console.print(render_resources(resources))
        return resources

    def _show_pod(self, resources: Mapping[str, tuple[str, str]]) -> None:
        resource = pod.choose_resource(resources)
        manifest = pod.render_pod(self._stage.node().labels, resource, min(2, int(resources[resource][1])))
        self._console.print(render_step(4, "A pod asks for GPUs by label and resource", "kubernetes"))
        self._console.print(render_manifest(yaml.safe_dump(manifest, sort_keys=False)))
        running = pod.submit(self._stage, manifest, self._until)
        self._console.print(render_facts(running))

    def _show_commands(self, *, stays: bool) -> None:
        if not stays:
            self._console.print(
                "\nThis was one tour. In a terminal and without --once the cluster stays up for your own kubectl."
            )
            return
        self._console.print(render_step(5, "Look yourself", "kubernetes"))
        name = self._stage.node_name
        commands = (
            f"export KUBECONFIG={self._stage.kubeconfig}",
            "kubectl get nodes --show-labels",
            f"kubectl describe node {name}",
            "kubectl get node -w",
        )
        self._console.print(render_commands(commands))

    def _until(self, found: Callable[[NodeState], Any], agent: str) -> Any:
        """What `found` says of the Node as soon as it is not empty."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            version = self._stage.server.store.version
            if result := found(self._stage.node()):
                return result
            self._stage.server.store.events(("nodes", "pods"), version, timeout=1.0)
        problems = self._stage.running.services.readiness.problems()
        reasons = [f"{check}: {problem}" for check, problem in problems.items() if problem]
        raise TourError(
            f"{agent} did not get there in {PATIENCE:.0f} s. {'; '.join(reasons)} See {self._stage.log_file}."
        )
