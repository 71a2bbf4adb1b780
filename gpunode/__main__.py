"""The command line of `gpunode`, and of the kubectl plugin `kubectl gpu`."""

import node_core.startup

# isort: split
import os

import click

from gpunode.lazy_group import Entry, LazyGroup
from node_core.version import VERSION

node_core.startup.freeze_gc()

SECTIONS = {
    "On a node": {
        "doctor": Entry(
            module="gpunode.doctor.command",
            help="Check whether pods can get the GPUs of this node, of one Node or of all Nodes, and state what to do.",
            is_agent=True,
        ),
        "validate": Entry(
            module="gpunode.validate.command",
            help="Check each stage of this GPU node: driver, device nodes, CDI, a CUDA kernel, kubelet and a container.",
        ),
        "labels": Entry(
            module="gpunode.labels.command",
            help="Show the labels of this host, the source of each value, and why a label is missing.",
        ),
        "release": Entry(
            module="gpunode.release",
            attribute="release",
            help="Ask every agent on this node to close the NVIDIA driver.",
        ),
        "top": Entry(
            module="gpunode.top.command", help="Show the use of GPUs and MIG devices, and the pods that have them."
        ),
        "topo": Entry(
            module="gpunode.topo.command",
            help="Show the links between GPUs, and the GPUs that a container would get.",
        ),
        "mig": Entry(
            module="gpunode.mig.command",
            attribute="mig",
            help="Show, plan, change and export the MIG layouts of the GPUs of this node.",
        ),
        "cdi": Entry(
            module="gpunode.cdi",
            attribute="cdi",
            help="Generate, list and validate the CDI specifications of this node.",
        ),
        "toolkit": Entry(
            module="gpunode.toolkit.command",
            attribute="toolkit",
            help="Show whether the container runtime of this node injects CDI devices, and switch CDI on.",
        ),
        "run": Entry(
            module="gpunode.run",
            help="Run nfd-lite, gfd, gpu-device-plugin and gpu-exporter in one process.",
            is_agent=True,
        ),
        "cleanup": Entry(
            module="gpunode.cleanup.command",
            help="Remove everything that gpunode wrote to this node: labels, taints, resources and files.",
            is_agent=True,
        ),
    },
    "Anywhere": {
        "nodes": Entry(
            module="gpunode.nodes.command", help="Show the GPU nodes of the cluster, and which GPUs are free."
        ),
        "node": Entry(
            module="gpunode.node.command", help="Show one Node in full: GPUs, pods, health, Events and labels."
        ),
        "why": Entry(module="gpunode.why.command", help="State why a pod does not run, and what would place it."),
        "ui": Entry(module="gpunode.ui.command", help="Open a page that shows the GPUs of the cluster."),
        "rules": Entry(
            module="nfd_lite.rules_command",
            attribute="rules",
            help="Check NodeFeatureRules and custom rules before you apply them.",
        ),
        "config": Entry(
            module="gpunode.config_check.command",
            attribute="config",
            help="Check config files, and show the settings that the agents have with them.",
        ),
        "migrate": Entry(
            module="gpunode.migrate.command",
            help="Convert Helm values of NVIDIA and Node Feature Discovery to values of the chart gpunode.",
        ),
        "completion": Entry(
            module="gpunode.completion.command",
            help="Print the script that completes commands, flags and names in bash, zsh or fish.",
        ),
        "demo": Entry(
            module="gpunode.demo.command",
            attribute="demo",
            help="Run the three agents on this machine against a simulated cluster.",
        ),
    },
}
"""All commands, in the order of --help."""


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    examples=(
        ("nodes", "the GPU nodes of your cluster, and which GPUs are free"),
        ("why POD", "why a pod does not run, and what would place it"),
        ("doctor --all", "check all Nodes, with your kubeconfig"),
        ("doctor", "check this node: as root, or in the pod of gpu-device-plugin"),
        ("demo", "see everything on this machine, without a cluster or a GPU"),
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(VERSION, message="%(prog)s, version %(version)s")
def gpunode() -> None:
    """Label Kubernetes nodes with their hardware, advertise their NVIDIA GPUs, and show what pods can get."""


def main() -> None:
    if "_GPUNODE_COMPLETE" in os.environ:
        from gpunode.completion.shells import register_shells  # noqa: PLC0415 - only for completion

        register_shells()
    gpunode(prog_name="gpunode")


def kubectl_plugin() -> None:
    """The program `kubectl-gpu`, which kubectl runs for `kubectl gpu`."""
    gpunode(prog_name="kubectl gpu")


if __name__ == "__main__":
    main()
