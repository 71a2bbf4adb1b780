"""One attempt to clean a node. A step that fails does not stop the other steps."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gpu_core.mps.apply import MpsTools
from gpu_validator.agent import NAME as VALIDATOR
from gpu_validator.files import FOLDER as VALIDATIONS
from gpunode.cleanup.host import (
    remove_mig_records,
    remove_sockets,
    remove_specs,
    remove_state,
    remove_validations,
    start_services,
)
from gpunode.cleanup.machine import is_this_machine
from gpunode.cleanup.mps import stop_mps_daemons
from gpunode.cleanup.node import AGENTS, Step, find_shared_keys, node_steps, read_node
from gpunode.cleanup.pods import list_agent_pods
from node_core.errors import NodeError
from node_core.host.flock import is_locked
from node_core.kube.client import NodeApi
from node_core.runtime.instance_lock import InstanceLock, instance_lock_path
from node_core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupTargets:
    """Where the agents may have written.

    cdi, sockets, state, records, validations: folders, as mounted in this container. state: None if the agents run without a lock folder.
    records: of mig-manager. namespace: of the agents' pods and NodeFeature objects. mps: each root with MPS daemons. only: `cluster` for
    the objects of the cluster, `host` for the files of this machine, None for both. is_dry_run: only report what would be removed.
    """

    cdi: Path
    sockets: Path
    state: Path | None
    records: Path
    namespace: str
    validations: Path = VALIDATIONS
    mps: tuple[MpsTools, ...] = ()
    only: Literal["cluster", "host"] | None = None
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """removed: the names of the steps that removed something. retained: a sentence for each key of the agents that stays on the Node.

    problems: a sentence for each step that failed.
    """

    removed: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def clean(api: NodeApi, targets: CleanupTargets) -> Outcome:
    """Removes nothing while an agent runs on the node, because the agent would write everything again.

    Also removes nothing if the cluster has no such Node, or if this machine is another node. api: changes nothing in a dry run.
    """
    with ExitStack() as stack:
        node: Mapping[str, Any] = {}
        if targets.only != "host":
            try:
                node = read_node(api)
            except NodeError as error:
                return Outcome(problems=(f"cannot read the Node {api.node_name}: {error}",))
        if blockers := tuple(_find_blockers(api, targets, node, stack)):
            return Outcome(problems=blockers)
        cluster = [] if targets.only == "host" else [*node_steps(api, targets.namespace)]
        host = [] if targets.only == "cluster" else [*_host_steps(targets, api.node_name)]
        return replace(run_steps([*cluster, *host]), retained=tuple(find_shared_keys(node)))


def _find_blockers(api: NodeApi, targets: CleanupTargets, node: Mapping[str, Any], stack: ExitStack) -> Iterator[str]:
    """Yields a sentence for each reason to remove nothing. Acquires the locks of the agents until `stack` closes."""
    if targets.only != "host":
        try:
            yield from (f"the pod {pod} still runs on this node" for pod in list_agent_pods(api, targets.namespace))
        except NodeError as error:
            yield f"cannot determine whether agents run on this node: {error}"
    if targets.only == "cluster":
        return
    if targets.only is None and not is_this_machine(node, api.node_name, targets.state):
        yield (
            f"this machine is not the Node {api.node_name}. Run cleanup on that node, or use --only cluster to remove only what the agents"
            " wrote in the cluster, or --only host to remove only files of this machine"
        )
    yield from _locked_agents(targets, api.node_name, stack)


def run_steps(steps: Iterable[Step]) -> Outcome:
    removed, problems = [], []
    for what, step in steps:
        try:
            if step():
                removed.append(what)
        except NodeError as error:
            problems.append(f"{what}: {error}")
        except OSError as error:  # a folder that this process may not list
            problems.append(f"{what}: {error.strerror or error}")
    return Outcome(removed=tuple(removed), problems=tuple(problems))


def _locked_agents(targets: CleanupTargets, node: str, stack: ExitStack) -> Iterator[str]:
    """A sentence for each agent whose lock another process holds. Except in a dry run, acquires the other locks until `stack` closes.

    An agent without a lock file has never run on this node.
    """
    folder = targets.state
    for agent in AGENTS:
        try:
            if folder is None or not (path := instance_lock_path(folder, agent, node)).exists():
                continue
            if targets.is_dry_run:
                if is_locked(path):
                    yield f"{agent} still runs on this node"
                continue
        except OSError as error:
            yield f"cannot determine whether {agent} runs on this node: {folder}: {error.strerror or error}"
            continue
        lock = InstanceLock(folder, agent, node)
        stack.callback(lock.release)
        if (holder := lock.acquire()) is not None:
            yield f"{agent} still runs on this node: {holder}"


def _host_steps(targets: CleanupTargets, node: str) -> Iterator[Step]:
    dry = targets.is_dry_run
    yield f"CDI specs in {targets.cdi}", partial(remove_specs, targets.cdi, is_dry_run=dry)
    for tools in targets.mps:
        what = f"MPS daemons and their compute modes in {tools.root}"
        yield what, partial(stop_mps_daemons, tools, is_dry_run=dry)
    yield f"sockets in {targets.sockets}", partial(remove_sockets, targets.sockets, is_dry_run=dry)
    yield "services that mig-manager has stopped", partial(start_services, targets.records, is_dry_run=dry)
    what = f"records of mig-manager in {targets.records}"
    yield what, partial(remove_mig_records, targets.records, targets.state, node, is_dry_run=dry)
    if targets.state is not None:
        lock = instance_lock_path(targets.state, VALIDATOR, node)
        what = f"files of {VALIDATOR} in {targets.validations}"
        yield what, partial(remove_validations, targets.validations, lock, is_dry_run=dry)
        yield f"state in {targets.state}", partial(remove_state, targets.state, AGENTS, node, is_dry_run=dry)
