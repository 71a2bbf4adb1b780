"""`nfd-lite rules`: shows the author of a rule what the rule does on a node and why, before the rule is applied."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import click
import msgspec

from nfd_lite.cpu.cpuid import read_cpu
from nfd_lite.feature_names import describe_unknown, flag_problems, is_open, reference_problems, unknown_features
from nfd_lite.node_labels import parse_node_labels, with_node_labels
from nfd_lite.rules.custom import BUILT_IN_RULES, RuleFile, parse_rule_file
from nfd_lite.rules.evaluate import EvaluationContext, identify_rules, sort_rule_sets
from nfd_lite.rules.explain import RuleTrace, trace
from nfd_lite.rules.model import Rule, RuleSet
from nfd_lite.rules.outputs import OutputPolicy, check_outputs
from nfd_lite.rules.render import render_traces
from nfd_lite.rules.saved_features import parse_saved_features
from nfd_lite.settings import NamespaceFlags, output_policy
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.decode import read_input, text_of
from node_core.domain.features import Features
from node_core.domain.text import to_printable
from node_core.errors import SettingsError
from node_core.host.root import HostRoot
from node_core.runtime.command import report_usage
from node_core.runtime.examples import ExamplesCommand, ExamplesGroup
from node_core.runtime.setting import make_option, settings_of

FAILED = 1
"""Exit status when a rule cannot be evaluated."""

FILES = click.argument("files", metavar="FILE...", nargs=-1, required=True)


@click.group(
    cls=ExamplesGroup,
    examples=(
        ("test rule.yaml", "what the rules do on this host, and why"),
        ("validate rule.yaml", "mistakes that do not depend on a node"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
def rules() -> None:
    """Check NodeFeatureRules and custom rules before you apply them. FILE contains rules of either kind. - reads standard input."""


@rules.command(
    "test",
    cls=ExamplesCommand,
    examples=(
        ("rule.yaml", "the outputs of each rule on this host, and why it matches or not"),
        ("rule.yaml --features features.yaml", "the same with the features of another node"),
        ("rule.yaml --node-labels node.yaml", "the same for rules about labels of the node"),
    ),
    statuses={"1": "A rule cannot be evaluated."},
)
@FILES
@click.option(
    "--features",
    "feature_file",
    metavar="FILE",
    help="NodeFeature object with the features of a node. Default: the features of this host.",
)
@click.option(
    "--node-labels",
    "label_file",
    metavar="FILE",
    help="The labels of a node, for the feature node.label: a Node as kubectl prints it, or key=value lines.",
)
@click.option(
    "--host-root",
    envvar="HOST_ROOT",
    default="/",
    show_default=True,
    help="Folder where the root of the host is mounted.",
)
@click.option(
    "-o", "--output", type=click.Choice(("text", "json")), default="text", show_default=True, help="Output format."
)
def test(
    files: tuple[str, ...],
    feature_file: str | None,
    label_file: str | None,
    host_root: str,
    output: Literal["text", "json"],
    **namespaces: tuple[str, ...],
) -> None:
    """Show the outputs of each rule on a node, and why the rule matches or not."""
    try:
        loaded = load_rules(files)
        features = (
            read_features(host_root, click.get_current_context().command_path)
            if feature_file is None
            else parse_saved_features(read_text(feature_file), feature_file)
        )
        if label_file is not None:
            features = with_node_labels(features, parse_node_labels(read_text(label_file), label_file))
    except SettingsError as error:
        sys.exit(report_usage(error, click.get_current_context().command_path))
    traces = trace_files(loaded, features, output_policy(namespaces))
    click.echo(render_json(traces) if output == "json" else render_traces(traces), nl=False)
    sys.exit(FAILED if any(each.matched is None for each in traces) else 0)


test.params += [make_option(each, "NFD") for each in settings_of(NamespaceFlags)]


@rules.command(
    "validate",
    cls=ExamplesCommand,
    examples=(
        ("rule.yaml", "check the rules of a file"),
        ("rules/*.yaml", "check all files of a folder"),
        ("-", "check standard input, for example from kubectl get nodefeaturerules -o yaml"),
    ),
    statuses={"1": "There are problems. Warnings do not change the status."},
)
@FILES
def validate(files: tuple[str, ...]) -> None:
    """Check rules for mistakes that do not depend on a node, such as features that no source provides."""
    try:
        loaded = load_rules(files)
    except SettingsError as error:
        sys.exit(report_usage(error, click.get_current_context().command_path))
    sets = [each for file in loaded for each in file.sets]
    named = name_rules(sets)
    problems = [f"{name}: {why}" for name, rule in named for why in rule_problems(rule)]
    warnings = [f"{name}: {why}" for name, rule in named for why in rule_warnings(rule)]
    for line in (*problems, *(f"warning: {each}" for each in warnings)):
        click.echo(to_printable(line))
    click.echo(f"{len(named)} rules, {len(problems)} problems" + (f", {len(warnings)} warnings" if warnings else ""))
    sys.exit(FAILED if problems else 0)


def load_rules(files: Iterable[str]) -> tuple[RuleFile, ...]:
    """Parses files with rules. Raises SettingsError with the problems of all files."""
    loaded: list[RuleFile] = []
    problems: list[str] = []
    for file in files:
        try:
            loaded.append(parse_rule_file(read_text(file), file))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tuple(loaded)


def read_text(file: str) -> str:
    """Reads a file, a pipe, or standard input for `-`. Raises SettingsError."""
    return text_of(read_input(file))


def read_features(host_root: str, program: str) -> Features:
    """Reads the features of this host. Features that cannot be read are reported on standard error. Raises SettingsError.

    program: for these messages.
    """
    if not Path(host_root).is_dir():
        raise SettingsError([f"--host-root: {host_root} is not a directory"])
    host = Host(root=HostRoot(Path(host_root)), cpu=read_cpu, node_name=os.environ.get("NODE_NAME"))
    collection = collect(host, SourceSettings())
    for feature, why in sorted(collection.errors.items()):
        click.echo(f"{program}: the feature {feature} cannot be read: {why}", err=True)
    return collection.features


def trace_files(files: Iterable[RuleFile], features: Features, policy: OutputPolicy) -> tuple[RuleTrace, ...]:
    """Traces custom rules and NodeFeatureRule objects. Neither kind sees the variables of the other kind."""
    context = EvaluationContext(features=features, policy=policy)
    custom = [each for file in files if file.is_custom for each in file.sets]
    objects = [each for file in files if not file.is_custom for each in file.sets]
    built_in = len(BUILT_IN_RULES.rules)
    return (*trace([BUILT_IN_RULES, *custom], context)[built_in:], *trace(sort_rule_sets(objects), context))


def render_json(traces: Iterable[RuleTrace]) -> str:
    content: bytes = msgspec.json.format(msgspec.json.encode({"rules": list(traces)}), indent=2)
    return f"{content.decode()}\n"


def name_rules(sets: Iterable[RuleSet]) -> list[tuple[str, Rule]]:
    """Returns each rule with its set and name, as messages show them."""
    return [(f"{id_.set_name} / {id_.shown}", rule) for each in identify_rules(sets) for id_, rule in each]


def rule_problems(rule: Rule) -> list[str]:
    """Returns why a rule does not work, or not completely, on any node where its conditions are met."""
    if rule.problems:
        return list(rule.problems)
    unknown = [describe_unknown(name) for name in unknown_features(rule) if not is_open(name)]
    refused = (f"{each.key}: {each.why}" for each in check_outputs(rule))
    return [*rule.latent_problems, *unknown, *reference_problems(rule), *flag_problems(rule), *refused]


def rule_warnings(rule: Rule) -> list[str]:
    """Returns what in a rule has no effect, or depends on NodeFeature objects of other programs."""
    return [*rule.warnings, *(describe_unknown(name) for name in unknown_features(rule) if is_open(name))]
