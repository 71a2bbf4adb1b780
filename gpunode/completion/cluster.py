"""Completes names and labels of the person's cluster. Without a cluster, or if the cluster does not respond in time, completes nothing."""

import re
import threading
from collections.abc import Callable, Collection, Iterable

from click import Context, Parameter
from click.shell_completion import CompletionItem

SECONDS = 1.0
"""The time limit. Nodes that the cluster lists later are missing."""
NAME = re.compile(r"[A-Za-z0-9._/,=!-]+")
"""Letters of names and label selectors."""
Labels = dict[str, str]
Completer = Callable[[Context, Parameter, str], list[CompletionItem[str]]]


def complete_nodes(ctx: Context, _: Parameter, incomplete: str) -> list[CompletionItem[str]]:
    return _items({name for name, _ in read_nodes(ctx)}, incomplete)


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
    found: list[tuple[str, Labels]] = []
    thread = threading.Thread(target=_list_nodes, args=(ctx.params, found), daemon=True)
    thread.start()
    thread.join(SECONDS)
    return list(found)


def _list_nodes(params: dict[str, str | None], found: list[tuple[str, Labels]]) -> None:
    """Adds the Nodes page by page. A failure ends the list, because a person who edits a line cannot read an error."""
    from gpunode.cluster.connection import connect  # noqa: PLC0415 - most completions need no cluster
    from gpunode.cluster.lists import list_nodes  # noqa: PLC0415
    from node_core.errors import NodeError  # noqa: PLC0415
    from node_core.runtime.log import configure_log  # noqa: PLC0415

    configure_log(level="error")
    try:
        for page in list_nodes(connect(params.get("kubeconfig"), params.get("context")).api):
            found.extend((node.name, node.labels) for node in page)
    except NodeError:
        return


def _items(values: Collection[str], incomplete: str) -> list[CompletionItem[str]]:
    """Omits texts that are not names of Kubernetes: a shell would not insert them as they are."""
    return [CompletionItem(each) for each in sorted(values) if each.startswith(incomplete) and NAME.fullmatch(each)]
