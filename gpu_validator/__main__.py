"""`gpu-validator`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_core.assembly import gpu_dependencies, node_program
from gpu_core.settings.nvidia_settings import GpuSettings
from gpu_validator.agent import NAME, build_agent
from gpu_validator.settings import ValidatorSettings, validator_settings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    ValidatorSettings,
    GpuSettings,
    agent="GPU_VALIDATOR",
    changes={"http_address": {"default": ":8087"}},
    help="Check each stage of this GPU node: the driver, its device nodes, CDI specifications, a CUDA kernel, the kubelet, and the start of"
    " a container. The condition GPUValidated of the Node shows the result.",
    examples=(
        ("--node-name n1 --kubeconfig FILE", "validate the Node n1, and again after each change"),
        ("--node-name n1 --kubeconfig FILE --skip-checks cuda", "the same without a kernel on the GPUs"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = validator_settings(values)
    dependencies = gpu_dependencies(values, NAME)
    return node_program(dependencies, lambda services: (build_agent(settings, dependencies, services),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
