"""Which parameters have values that are completed: paths, scenarios, and names and labels of the person's cluster."""

from collections.abc import Mapping

import click

from gpunode.completion.cluster import Completer, complete_label, complete_nodes, complete_pods, complete_selector
from gpunode.completion.label_keys import complete_label_keys
from gpunode.completion.scenarios import complete_scenarios

PATH = "path"
PATH_WORDS = ("FILE", "FOLDER")
"""Words in the metavar of a parameter whose value is a path."""
COMPLETERS: Mapping[str, Completer] = {
    "scenario": complete_scenarios,
    "node": complete_nodes,
    "pod": complete_pods,
    "selector": complete_selector,
    "label key": complete_label_keys,
    "product": complete_label("nvidia.com/gpu.product"),
}
NAMES: Mapping[tuple[str, str], str] = {
    ("", "simulate"): "scenario",
    ("demo", "gpus"): "scenario",
    ("scenario", "scenario"): "scenario",
    ("", "node"): "node",
    ("node", "name"): "node",
    ("why", "target"): "pod",
    ("", "node_name"): "node",
    ("labels", "key"): "label key",
    ("", "selector"): "selector",
    ("", "product"): "product",
    ("", "kubeconfig"): PATH,
}
"""The command, or an empty text for every command, and the parameter -> a name of COMPLETERS, or PATH."""


def name_of_values(command: str, parameter: click.Parameter) -> str | None:
    """Returns a name of COMPLETERS, or PATH; None for a parameter whose values are not completed."""
    name = str(parameter.name)
    if (found := NAMES.get((command, name)) or NAMES.get(("", name))) is not None:
        return found
    is_path = parameter.type.name == PATH or any(word in (parameter.metavar or "") for word in PATH_WORDS)
    return PATH if is_path else None
