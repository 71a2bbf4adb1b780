"""Completes names and labels of the person's cluster. Without a cluster, or if the cluster does not respond in time, completes nothing."""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from click import Context, Parameter
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from gpunode.cluster.connection import Connection
    from gpunode.why.workloads import WorkloadKind

SECONDS = 1.0
"""The time limit. Objects that the cluster lists later are missing."""
NAME = re.compile(r"[A-Za-z0-9._/,=!-]+")
"""Letters of names and label selectors."""
Labels = dict[str, str]
Pages = Callable[["Connection"], Iterator[Iterable[Any]]]
"""Lists objects with `metadata` in pages."""
Completer = Callable[[Context, Parameter, str], list[CompletionItem[str]]]


def complete_nodes(ctx: Context, _: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    return _items({name for name, _ in read_nodes(ctx)}, incomplete)


def complete_pods(ctx: Context, _: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes the name of a Pod, and of a workload after `KIND/`."""
    from gpunode.why.workloads import PODS, find_kind  # noqa: PLC0415 - most completions need no cluster

    word, slash, _name = incomplete.rpartition("/")
    kind = find_kind(word) if slash else PODS
    return [] if kind is None else _items({f"{word}{slash}{name}" for name in read_names(ctx, kind)}, incomplete)


def complete_selector(ctx: Context, _: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes the last part of a label selector: `key=`, `key=value` or `key!=value`."""
    return _items(select_parts((labels for _, labels in read_nodes(ctx)), incomplete), incomplete)


def complete_label(key: str) -> Completer:
    """Returns the completer of the values of a label."""

    def complete(ctx: Context, _: Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return _items({labels[key] for _, labels in read_nodes(ctx) if key in labels}, incomplete)

    return complete


def select_parts(nodes: Iterable[Labels], incomplete: str) -> set[str]:
    """Returns selectors that begin with the complete parts of the incomplete one: keys of labels, or values of the key. PURE."""
    start, comma, part = incomplete.rpartition(",")
    key, equals, _ = part.partition("=")
    labels = {each for node in nodes for each in node.items()}
    if equals:
        return {f"{start}{comma}{key}={value}" for name, value in labels if name == key.removesuffix("!")}
    return {f"{start}{comma}{name}=" for name, _ in labels}


def read_nodes(ctx: Context) -> list[tuple[str, Labels]]:
    """Returns the name and the labels of each Node that the cluster lists within the time limit."""
    from gpunode.cluster.lists import list_nodes  # noqa: PLC0415 - most completions need no cluster

    return _read(ctx, lambda connection: list_nodes(connection.api))


def read_names(ctx: Context, kind: "WorkloadKind") -> list[str]:
    """Returns the name of each object that the cluster lists within the time limit, in the namespace of the command line."""
    from gpunode.cluster.lists import Kind, list_pages  # noqa: PLC0415
    from gpunode.why.workloads import Workload  # noqa: PLC0415

    def list_objects(connection: "Connection") -> Iterator[tuple[Workload, ...]]:
        return list_pages(connection.api, Kind(path=kind.path(connection.namespace), name=kind.resource), Workload)

    return [name for name, _ in _read(ctx, list_objects)]


def _read(ctx: Context, pages: Pages) -> list[tuple[str, Labels]]:
    found: list[tuple[str, Labels]] = []
    thread = threading.Thread(target=_add, args=(ctx.params, pages, found), daemon=True)
    thread.start()
    thread.join(SECONDS)
    return list(found)


def _add(params: dict[str, str | None], pages: Pages, found: list[tuple[str, Labels]]) -> None:
    """Adds the objects page by page. A failure ends the list, because a person who edits a line cannot read an error."""
    from gpunode.cluster.connection import connect  # noqa: PLC0415
    from node_core.errors import NodeError  # noqa: PLC0415
    from node_core.runtime.log import configure_log  # noqa: PLC0415

    configure_log(level="error")
    try:
        for page in pages(connect(params.get("kubeconfig"), params.get("context"), params.get("namespace"))):
            found.extend((each.metadata.name, each.metadata.labels) for each in page)
    except NodeError:
        return


def _items(values: Collection[str], incomplete: str) -> list[CompletionItem[str]]:
    """Omits texts that are not names of Kubernetes: a shell would not insert them as they are."""
    return [CompletionItem(each) for each in sorted(values) if each.startswith(incomplete) and NAME.fullmatch(each)]
