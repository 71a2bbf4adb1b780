"""`gpunode labels [KEY]`: the command line."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from gpunode.labels.agents import Agents
from gpunode.labels.cluster import ClusterState, read_cluster
from gpunode.labels.documents import explanation_document, list_document
from gpunode.labels.explain import Explanation, explain_key
from gpunode.labels.published import Label, list_labels
from gpunode.labels.render import WIDE, render_explanation, render_labels, row_of
from gpunode.labels.rule_objects import RuleObjects, read_rule_files
from gpunode.labels.rule_views import RuleView, view_rules
from gpunode.labels.settings import AgentSettings, agent_options, read_settings
from gpunode.output.formats import output_option, print_csv, print_document
from gpunode.output.terminal import Terminal, open_terminal, show_progress
from gpunode.output.verb import FAILED, Verb, report_problems
from nfd_lite.node_labels import parse_node_labels
from nfd_lite.rules_command import read_text
from node_core.domain.labels import Labels, key_problem
from node_core.domain.text import to_printable
from node_core.errors import SettingsError
from node_core.runtime.log import configure_log
from node_core.values import replace

HELP = """Show the labels that nfd-lite and gfd would set on the Node of this host, each with the source of its value: a file of the host,
an NVML function, a rule, or a setting. Nothing is published, and no cluster is needed.

With KEY: the source of one label, or why it would be missing. The prefix of KEY may be omitted.

The flags and environment variables are those of the agents. Rules come from this host, from --rules, and from the cluster if --kubeconfig,
--context or KUBECONFIG names one, or in a pod. Exit status: 0; 1 if KEY would not be published, or if the host or its GPUs cannot be
read; 2 for a wrong command line."""
EXAMPLES = (
    ("", "all labels of this host"),
    ("gpu.product", "one label, or why it is missing"),
    ("--simulate h100x8 --mig-strategy mixed", "the labels of simulated GPUs"),
    ("--rules rule.yaml", "with NodeFeatureRules that are not applied yet"),
)


@click.command("labels", cls=Verb, examples=EXAMPLES, help=HELP)
@click.argument("key", required=False)
@click.option(
    "--rules", "files", multiple=True, metavar="FILE", help="NodeFeatureRules or custom rules. - reads standard input."
)
@click.option(
    "--node-labels",
    "label_file",
    metavar="FILE",
    help="The labels of the Node, for rules with the feature node.label: a Node as kubectl prints it, or key=value lines.",
)
@agent_options
@click.option("--kubeconfig", metavar="FILE", help="Also read the rules and the Node of this cluster.")
@click.option("--context", metavar="NAME", help="Also read the rules and the Node of the cluster in this context.")
@output_option("wide", "json", "yaml", "csv", "name")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    key: str | None,
    files: tuple[str, ...],
    label_file: str | None,
    output: str | None,
    **values: Any,
) -> None:
    if key is not None and (problem := key_problem(key)) is not None:
        raise SettingsError([f"{key[:80]!r} is not the key of a label: {problem}"])
    settings = read_settings(ctx, values)
    configure_log("auto", "error", sys.stderr)
    rules = read_rule_files(files)
    node_labels = {} if label_file is None else parse_node_labels(read_text(label_file), label_file)
    with show_progress("Reading this host"):
        cluster = read_cluster_of(settings, values)
        agents = build_agents(settings, cluster, rules, node_labels)
        views, problems = view_rules(agents)
        labels = list_labels(agents, views)
        explanation = None if key is None else explain_key(key, agents, views, labels)
    notes = [*filter(None, [cluster.note]), *problems, *list_notes(agents, views)]
    if explanation is None:
        print_labels(ctx, labels, output, agents, notes)
    else:
        report_problems(ctx.command_path, notes)
        print_explanation(explanation, output)
    is_unread = agents.nfd.is_unknown or agents.inventory is None
    ctx.exit(FAILED if is_unread or (explanation is not None and not explanation.labels) else 0)


def read_cluster_of(settings: AgentSettings, values: Mapping[str, Any]) -> ClusterState:
    return read_cluster(
        settings.dependencies.common.node_name,
        values["kubeconfig"],
        values["context"],
        with_rules=settings.nfd.cluster_rules,
    )


def build_agents(settings: AgentSettings, cluster: ClusterState, files: RuleObjects, labels: Labels) -> Agents:
    """files: replace the objects of the cluster with the same names. labels: replace the labels of the Node."""
    rules = RuleObjects(custom=files.custom, objects={**cluster.rules, **files.objects})
    return Agents(settings, rules, replace(cluster.node, labels={**cluster.node.labels, **labels}))


def list_notes(agents: Agents, rules: Sequence[RuleView]) -> Iterator[str]:
    """Yields what the reader must know about the labels: simulation, and what could not be read or published."""
    if (scenario := agents.dependencies.common.simulate) is not None:
        yield f"the GPUs are simulated (--simulate {scenario})"
    for each in (agents.nfd, agents.gfd):
        yield from (f"{each.agent}: {name}: {why}" for name, why in each.problems.items())
        yield from (
            f"{each.agent}: {label.key}: the API server would refuse the label: {label.why}" for label in each.refused
        )
    if agents.inventory is not None:
        yield from (f"gfd: {fault.name}: {fault.reason}" for fault in agents.inventory.faults)
    yield from (
        f"the rule {view.name}: {each.why}" for view in rules for each in view.trace.problems if each.is_failure
    )
    yield from (why for each in agents.nfd.collection.problems.values() for why in each)


def print_labels(
    ctx: click.Context, labels: Sequence[Label], output: str | None, agents: Agents, notes: list[str]
) -> None:
    if output in ("json", "yaml"):
        document = list_document(labels, simulated=agents.dependencies.common.simulate, notes=notes)
        print_document(document, output)
        return
    report_problems(ctx.command_path, notes)
    if output == "csv":
        print_csv(WIDE, map(row_of, labels))
    elif output == "name":
        print_lines((to_printable(each.key) for each in labels), Terminal())
    else:
        terminal = open_terminal()
        print_lines(render_labels(labels, terminal, is_wide=output == "wide"), terminal)


def print_explanation(explanation: Explanation, output: str | None) -> None:
    if output in ("json", "yaml"):
        print_document(explanation_document(explanation), output)
    elif output == "csv":
        print_csv(WIDE, map(row_of, explanation.labels))
    elif output == "name":
        print_lines((to_printable(each.key) for each in explanation.labels), Terminal())
    else:
        terminal = open_terminal()
        print_lines(render_explanation(explanation, terminal), terminal)


def print_lines(lines: Iterable[str], terminal: Terminal) -> None:
    click.echo("".join(f"{line}\n" for line in lines), nl=False, color=terminal.has_colors)
