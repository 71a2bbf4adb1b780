"""Reads the cluster, explains the pods, and prints the explanations."""

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from gpunode.cluster.connection import Connection, connect
from gpunode.output.formats import print_document
from gpunode.output.terminal import open_terminal, show_progress
from gpunode.why.explain import explain_pod
from gpunode.why.explanation import Explanation
from gpunode.why.find import parse_target, read_subjects
from gpunode.why.manifest import parse_manifests
from gpunode.why.reads import Reader
from gpunode.why.render import render_text
from gpunode.why.scheduler_words import scheduler_message
from gpunode.why.snapshot import add_claims, read_snapshot
from gpunode.why.subject import EMPTY, Subject
from node_core.decode import parse_documents, read_input, text_of
from node_core.domain.labels import namespace_name_problem
from node_core.errors import KubeError, SettingsError
from node_core.scheduling.requests import pod_requests


def print_report(
    target: str | None,
    filename: str | None,
    output: str | None,
    *,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
) -> bool:
    """Prints the explanations. Returns whether all pods run or could be placed. Raises KubeError and SettingsError."""
    if namespace is not None and (why := namespace_name_problem(namespace)):
        raise SettingsError([f"--namespace: {why}"])
    named = parse_target(target) if target is not None else None
    documents = _read_documents(filename) if filename is not None else ()
    connection = connect(kubeconfig, context, namespace)
    with show_progress("Reading the cluster"):
        if named is None:
            subjects = parse_manifests(documents, str(filename), connection.namespace)
        else:
            subjects = read_subjects(Reader(connection.api, connection.namespace), *named)
        explanations = _explain(connection, subjects)
    _print(explanations, output)
    return all(each.can_run for each in explanations)


def _read_documents(filename: str) -> tuple[Any, ...]:
    return parse_documents(text_of(read_input(filename)), filename, as_kubectl=True)


def explain_target(connection: Connection, target: str) -> list[Explanation]:
    """target: as on the command line, for example `pod/NAME`. Raises KubeError and SettingsError."""
    return _explain(connection, read_subjects(Reader(connection.api, connection.namespace), *parse_target(target)))


def _explain(connection: Connection, subjects: Sequence[Subject]) -> list[Explanation]:
    waiting = [each for each in subjects if each.needs_nodes]
    resources = {name for each in waiting for name in pod_requests(each.pod)}
    try:
        snapshot = read_snapshot(connection.api, resources) if waiting else EMPTY
    except KubeError as error:
        raise _with_message(error, waiting) from error
    is_claimed = any(each.pod.spec.resource_claims for each in waiting)
    if is_claimed or any("/" in name for name in resources):  # an extended resource
        snapshot = add_claims(snapshot, connection.api, resources, is_claimed=is_claimed)
    return [explain_pod(each, snapshot) for each in subjects]


def _with_message(error: KubeError, subjects: Sequence[Subject]) -> KubeError:
    """Adds the scheduler's own words, which a person without the right to list Nodes can read."""
    messages = (scheduler_message(each.pod, each.events) for each in subjects)
    if (message := next(filter(None, messages), "")) and error.status == 403:
        return KubeError(f"{error.message}. The scheduler states: {message}", status=403, hint=error.hint)
    return error


def _print(explanations: Sequence[Explanation], output: str | None) -> None:
    if output is not None:
        print_document({"items": [_render_document(each) for each in explanations]}, output)
        return
    terminal = open_terminal()
    click.echo(render_text(explanations, terminal), nl=False, color=terminal.has_colors)


def _render_document(explanation: Explanation) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(explanation)
    return {"canRun": explanation.can_run, **document}
