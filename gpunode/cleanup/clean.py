"""One go at a node: all that can be taken away is, also when another part cannot."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from device_plugin.agent import NAME as PLUGIN
from gfd.agent import NAME as GFD
from gpunode.cleanup.host import take_sockets, take_specs, take_state
from gpunode.cleanup.node import Step, node_steps
from gpunode.cleanup.pods import read_agents
from nfd_lite.agent import NAME as NFD
from node_core.errors import NodeError
from node_core.kube.client import NodeApi
from node_core.runtime.instance import InstanceLock

AGENTS = (NFD, GFD, PLUGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders of the host as we see them, and the namespace of the agents' pods and NodeFeature objects."""

    cdi: Path
    sockets: Path
    state: Path | None
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """taken: what there was and is not any more. problems: a sentence for each thing that is still there, or may be."""

    taken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def clean(api: NodeApi, places: Places) -> Outcome:
    """Nothing is done while an agent of ours runs on the node: it would put everything back."""
    with ExitStack() as stack:
        try:
            running = [f"{pod} still runs here" for pod in read_agents(api, places.namespace)]
        except NodeError as error:
            running = [f"it is not known whether agents run here: {error}"]
        if still := [*running, *_held(places.state, api.node_name, stack)]:
            return Outcome(problems=tuple(still))
        return take([*node_steps(api, places.namespace), *_host_steps(places, api.node_name)])


def take(steps: Iterable[Step]) -> Outcome:
    taken, problems = [], []
    for what, step in steps:
        try:
            if step():
                taken.append(what)
        except NodeError as error:
            problems.append(f"{what}: {error}")
        except OSError as error:  # a folder that may not be looked into
            problems.append(f"{what}: {error.strerror or error}")
    return Outcome(taken=tuple(taken), problems=tuple(problems))


def _held(folder: Path | None, node: str, stack: ExitStack) -> Iterator[str]:
    """Who has the locks of agents, which we keep meanwhile. Without its file an agent has never been here."""
    for agent in AGENTS:
        try:
            if folder is None or not (folder / f"{agent}.{node}.lock").exists():
                continue
        except OSError as error:
            yield f"it is not known whether {agent} runs here: {folder}: {error.strerror or error}"
            continue
        lock = InstanceLock(folder, agent, node)
        stack.callback(lock.release)
        if (holder := lock.acquire()) is not None:
            yield f"{agent} still runs here: {holder}"


def _host_steps(places: Places, node: str) -> Iterator[Step]:
    yield f"CDI specs in {places.cdi}", partial(take_specs, places.cdi)
    yield f"sockets in {places.sockets}", partial(take_sockets, places.sockets)
    if places.state is not None:
        yield f"state in {places.state}", partial(take_state, places.state, AGENTS, node)
