"""`nfd-lite rules`: for authors of rules, what a rule does on a node and why, before it is applied."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import click
import msgspec

from nfd_lite.options import namespace_options, output_policy
from nfd_lite.rules.custom import STATIC, RuleFile, parse_rule_file
from nfd_lite.rules.documents import MAX_TEXT
from nfd_lite.rules.explain import RuleTrace, trace, trace_steps
from nfd_lite.rules.model import RuleSet
from nfd_lite.rules.outputs import OutputPolicy, check_outputs
from nfd_lite.rules.render import render_traces
from nfd_lite.rules.saved_features import parse_saved_features
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.features import Features
from node_core.domain.text import plain
from node_core.errors import SettingsError
from node_core.host.cpuid import read_cpu
from node_core.host.root import HostRoot
from node_core.runtime.command import report_usage
from node_core.runtime.flags import options

FAILED = 1
"""Exit status when a rule cannot be evaluated."""

FILES = click.argument("files", metavar="FILE...", nargs=-1, required=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rules() -> None:
    """Check NodeFeatureRules and custom rules before they are applied. FILE is a file of either kind; - is standard input."""


@rules.command("test")
@FILES
@click.option(
    "--features", "feature_file", metavar="FILE", help="A node's features: a NodeFeature object. Default: this host's."
)
@click.option("--host-root", envvar="HOST_ROOT", default="/", show_default=True, help="Where the host's / is.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", show_default=True)
@options(*namespace_options)
def test(
    files: tuple[str, ...],
    feature_file: str | None,
    host_root: str,
    output: Literal["text", "json"],
    **namespaces: tuple[str, ...],
) -> None:
    """Shows what each rule makes of a node, and why it matched or not.

    Exit status 1 if a rule cannot be evaluated, 2 for unusable input.
    """
    try:
        loaded = load_rules(files)
        features = read_features(host_root) if feature_file is None else load_features(feature_file)
    except SettingsError as error:
        sys.exit(report_usage(error, "nfd-lite rules test"))
    traces = trace_files(loaded, features, output_policy(namespaces))
    click.echo(render_json(traces) if output == "json" else render_traces(traces), nl=False)
    sys.exit(FAILED if any(each.matched is None for each in traces) else 0)


@rules.command("validate")
@FILES
def validate(files: tuple[str, ...]) -> None:
    """Finds what is wrong with rules on any node.

    Exit status 1 if something is, 2 for unusable input.
    """
    try:
        loaded = load_rules(files)
    except SettingsError as error:
        sys.exit(report_usage(error, "nfd-lite rules validate"))
    sets = [each for file in loaded for each in file.sets]
    problems = [problem for each in sets for problem in rule_problems(each)]
    for problem in problems:
        click.echo(plain(problem))
    count = sum(len(each.rules) for each in sets)
    click.echo(f"{count} rules, {len(problems)} problems")
    sys.exit(FAILED if problems else 0)


def load_rules(files: Iterable[str]) -> tuple[RuleFile, ...]:
    """Raises SettingsError with the problems of all files."""
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


def load_features(file: str) -> Features:
    """Raises SettingsError."""
    return parse_saved_features(read_text(file), file)


def read_text(file: str) -> str:
    """A file, a pipe, or `-`. Raises SettingsError."""
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(MAX_TEXT + 1)
        if len(content) > MAX_TEXT:
            raise SettingsError([f"{file}: is larger than {MAX_TEXT} bytes"])
        return content.decode()
    except OSError as error:
        raise SettingsError([f"{file}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{file}: is not a UTF-8 text file"]) from error


def read_features(host_root: str) -> Features:
    """Of this host. What cannot be read is said on standard error and missing. Raises SettingsError for a root that is none."""
    if not Path(host_root).is_dir():
        raise SettingsError([f"--host-root: {host_root} is not a directory"])
    host = Host(root=HostRoot(Path(host_root)), cpu=read_cpu, node_name=os.environ.get("NODE_NAME"))
    collection = collect(host, SourceSettings())
    for part, why in sorted(collection.errors.items()):
        click.echo(f"nfd-lite rules test: {part} cannot be read: {why}", err=True)
    return collection.features


def trace_files(files: Iterable[RuleFile], features: Features, policy: OutputPolicy) -> tuple[RuleTrace, ...]:
    """Custom rules and objects do not see each other's variables."""
    custom = [each for file in files if file.is_custom for each in file.sets]
    objects = [each for file in files if not file.is_custom for each in file.sets]
    built_in = len(STATIC.rules)
    return (*trace_steps([STATIC, *custom], features, policy)[built_in:], *trace(objects, features, policy))


def render_json(traces: Iterable[RuleTrace]) -> str:
    content: bytes = msgspec.json.format(msgspec.json.encode({"rules": list(traces)}), indent=2)
    return f"{content.decode()}\n"


def rule_problems(rules_of: RuleSet) -> list[str]:
    """One line each: the set, the rule, what is wrong."""
    return [
        f"{rules_of.name} / {rule.name}: {why}"
        for rule in rules_of.rules
        for why in (*rule.problems, *(f"{each.key}: {each.why}" for each in check_outputs(rule)))
    ]
