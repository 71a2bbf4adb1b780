"""The steps of the tour, and the live feed after it. Each step waits for a change of the Node and shows it."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from shlex import quote
from typing import Any

import yaml
from rich.console import Console

from gpunode.demo import pod
from gpunode.demo.changes import NodeState, group_labels
from gpunode.demo.control import EXAMPLES, SOCKET, ControlSocket, Terminal, parse_fault_words
from gpunode.demo.feed import SHOWN, Devices, Line, describe
from gpunode.demo.render import (
    render_amount,
    render_command,
    render_labels,
    render_line,
    render_manifest,
    render_resources,
    render_rows,
    render_step,
)
from gpunode.demo.stage import Stage, choose_mig_strategy, describe_gpus
from node_core.errors import SettingsError
from simulation.apiserver.status import ApiError

TIMEOUT_SECONDS = 30.0
"""Maximum wait for one step."""
POLL_SECONDS = 0.5
"""Maximum wait of the live feed for a change, before it checks for commands."""
DEMO = "gpunode demo"


class TourError(Exception):
    """A step timed out. The message lists the failed readiness checks with their reasons."""


class Tour:
    """The terminal output of the demo."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._console = console

    def show(self) -> None:
        """Shows all steps but the last. Raises TourError."""
        self._show_cluster()
        inventory = self._stage.inventory
        simulated = " and the PCI functions of the simulated GPUs" if self._stage.scenario and inventory.gpus else ""
        self._show_labels(1, "nfd-lite", f"reads this machine{simulated}")
        self._show_labels(2, "gfd", f"reads the GPUs ({self._gpu_source()})")
        resources = self._show_resources()
        if resources:
            self._show_pod(resources)

    def show_end(self) -> None:
        self._console.print(
            "\nEnd of the tour. In a terminal and without --once, the cluster continues to run, so that you can use kubectl."
        )

    def show_commands(self) -> None:
        self._console.print(render_step(5, "Use kubectl yourself, in a second terminal", "kubernetes"))
        commands = (
            f"export KUBECONFIG={quote(str(self._stage.kubeconfig))}",
            "kubectl get nodes --show-labels",
            f"kubectl describe node {self._stage.node_name}",
            f"tail -f {quote(str(self._stage.log_file))}",
        )
        for command in commands:
            self._console.print(render_command(command), soft_wrap=True)
        self._console.print(render_step(6, "Make a GPU fail, or change the GPUs", "kubernetes"))
        self._show_help()

    def _show_help(self) -> None:
        self._console.print("  Type a command here and press Enter, or run it as `gpunode demo COMMAND`:")
        self._console.print(render_rows(EXAMPLES, style="bold"))
        self._console.print("  docs/reference/scenarios.md lists all scenarios and faults.")

    def watch(self) -> None:
        """Prints a line for each change in the cluster, and runs commands, until Ctrl-C."""
        self._console.print("\nWatching the cluster. Ctrl-C ends everything.\n", style="bright_black")
        store, terminal = self._stage.server.store, Terminal()
        control = ControlSocket(self._stage.directory / SOCKET)
        version = store.version
        try:
            while True:
                version = self._show_changes(version)
                control.poll(self._run)
                for words in terminal.lines():
                    self._run_typed(words)
                self._follow_file()
        except KeyboardInterrupt:
            self._console.print("\nStopping.", style="bright_black")
        finally:
            control.close()

    def _show_changes(self, version: int) -> int:
        """Waits for changes since a version of the store, prints them, and returns the new version."""
        store = self._stage.server.store
        try:
            events, version = store.events(
                SHOWN, version, timeout=POLL_SECONDS, interrupted=self._stage.file_changed.is_set
            )
        except ApiError:  # the history does not contain the version: more changes than a terminal can show
            return store.version
        devices = Devices(names=self._stage.gpu_names(), unhealthy=self._unhealthy, allocated=self._allocated)
        for event in events:
            for line in describe(event, devices):
                self._print(line)
        return version

    def _unhealthy(self, resource: str) -> Sequence[str]:
        return [each for each, is_healthy in self._stage.kubelet.device_health(resource).items() if not is_healthy]

    def _allocated(self, pod_uid: str) -> Sequence[str]:
        grants = self._stage.node_agent.grants.get(pod_uid, {}).values()
        return [each for grant in grants for ids in grant.device_ids.values() for each in ids]

    def _run(self, words: Sequence[str]) -> str:
        """Runs a command. Returns the reply, which the feed also shows. Raises SettingsError."""
        match words:
            case ["fault", *rest]:
                self._stage.add_fault(parse_fault_words(rest))
                reply, subject = f"added: {' '.join(rest)}", "fault"
            case ["scenario"] | ["scenario", _]:
                reply, subject = self._stage.change_scenario(words[1] if len(words) > 1 else None), "scenario"
            case _:
                raise SettingsError([f"{' '.join(words)!r} is not a command. Use `fault` or `scenario`."])
        self._print(Line(source=DEMO, subject=subject, text=reply, kind="~"))
        return reply

    def _run_typed(self, words: Sequence[str]) -> None:
        if words[0] in ("help", "?"):
            self._show_help()
            return
        try:
            self._run(words)
        except SettingsError as error:
            self._print_problems(words[0], error)
            self._console.print("Type help for a list of commands.")

    def _print_problems(self, subject: str, error: SettingsError) -> None:
        for problem in error.problems:
            self._print(Line(source=DEMO, subject=subject, text=problem, kind="!"))

    def _follow_file(self) -> None:
        """Starts the scenario again if its file has changed. An invalid file changes nothing."""
        if not self._stage.file_changed.is_set():
            return
        self._stage.file_changed.clear()
        try:
            self._run(["scenario"])
        except SettingsError as error:
            self._print_problems("scenario", error)
            self._print(
                Line(
                    source=DEMO,
                    subject="scenario",
                    text="The file is not applied. The previous GPUs and faults remain.",
                )
            )

    def _print(self, line: Line) -> None:
        clock = datetime.now().astimezone().strftime("%H:%M:%S")
        self._console.print(render_line(line, clock, self._console.width))

    def _gpu_source(self) -> str:
        return "real GPUs" if self._stage.scenario is None else f"simulated: {self._stage.scenario}"

    def _show_cluster(self) -> None:
        rows = {
            "Node": f"{self._stage.node_name}: this machine",
            "GPUs": f"{describe_gpus(self._stage.inventory)} ({self._gpu_source()})",
            "API server": f"{self._stage.server.url}, simulated, on loopback",
            "kubelet": f"simulated, in {self._stage.kubelet.directory}",
            "agents' log": str(self._stage.log_file),
        }
        self._console.print(render_rows(rows))

    def _show_labels(self, number: int, agent: str, what: str) -> None:
        has_gpus = bool(self._stage.inventory.gpus)

        def published(node: NodeState) -> Mapping[str, str]:
            labels = group_labels(node.labels)[agent]
            complete = not has_gpus or any(key.startswith("nvidia.com/gpu.") for key in labels)
            return labels if complete else {}

        labels = self._until(published, agent)
        self._console.print(render_step(number, f"{agent} {what}", agent, f"{len(labels)} labels"))
        self._console.print(render_labels(labels, agent))

    def _show_resources(self) -> Mapping[str, tuple[str, str]]:
        agent, inventory, expected = "gpu-device-plugin", self._stage.inventory, self._stage.resources
        if not expected:
            why = inventory.why_empty or f"no GPU can be advertised: {describe_gpus(inventory)}"
            self._console.print(render_step(3, f"{agent} advertises nothing", agent, why))
            return {}
        resources: Mapping[str, tuple[str, str]] = self._until(
            lambda node: node.resources if expected <= node.resources.keys() else None, agent
        )
        self._console.print(render_step(3, f"{agent} registers with the kubelet", agent, render_amount(resources)))
        self._console.print(render_resources(resources))
        return resources

    def _show_pod(self, resources: Mapping[str, tuple[str, str]]) -> None:
        resource = pod.choose_resource(resources)
        if resource is None:
            self._console.print(render_step(4, "No pod can run, because no GPU is allocatable", "kubernetes"))
            return
        is_mig = choose_mig_strategy(self._stage.inventory) == "single" or resource != pod.WHOLE_GPU
        amount = 1 if is_mig else min(2, int(resources[resource][1]))  # CUDA uses only one MIG device
        manifest = pod.render_pod(self._stage.node().labels, resource, amount)
        devices = "MIG devices" if is_mig else "GPUs"
        self._console.print(render_step(4, f"A pod selects {devices} by label and requests a resource", "kubernetes"))
        self._console.print(render_manifest(yaml.safe_dump(manifest, sort_keys=False)), soft_wrap=True)
        try:
            running = pod.submit(self._stage, manifest, self._until)
        except ApiError as error:  # another client changed or deleted the pod
            running = {"phase": str(error)}
        self._console.print(render_rows(running))

    def _until(self, read: Callable[[NodeState], Any], agent: str) -> Any:
        """Waits until `read` returns a value that is not empty, and returns that value. Raises TourError."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            version = self._stage.server.store.version
            if result := read(self._stage.node()):
                return result
            self._stage.server.store.wait_for_change(("nodes", "pods"), version, timeout=1.0, interrupted=lambda: False)
        reasons = "; ".join(self._stage.problems())
        raise TourError(f"{agent} was not ready within {TIMEOUT_SECONDS:.0f} s. {reasons}")
