"""Why gfd does not publish a label: a setting, no GPU, a value that NVML does not report, or a failure."""

from collections.abc import Iterator
from typing import get_args

from gfd.agent import VGPU_KEYS
from gfd.labelers import MigStrategy, mig
from gpu_core.domain.inventory import Inventory
from gpunode.labels.agents import GFD, Agents
from gpunode.labels.gpus import describe_gpus
from gpunode.labels.nvml_failures import describe_failures, read_failures
from gpunode.labels.published import find_declaration, plain
from gpunode.labels.reason import RETAINED, Reason
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import SIMULATED
from node_core.values import replace


def find_gfd_reasons(key: str, agents: Agents) -> Iterator[Reason]:
    declaration = find_declaration(key)
    if declaration is not None and declaration[0] != GFD:
        return
    if found := tuple(_gfd_setting_reasons(key, agents)):
        yield from found
    elif any(each.labels is None and key.startswith(each.owns) for each in agents.gfd.results):
        faults = () if agents.inventory is None else agents.inventory.faults
        evidence = (*agents.gfd.problems.values(), *(f"{each.name}: {each.reason}" for each in faults))
        yield Reason(agent=GFD, why=RETAINED, evidence=evidence)
    elif declaration is not None and agents.inventory is not None:
        yield _gpu_reason(key, declaration[1], agents, agents.inventory)


def _gfd_setting_reasons(key: str, agents: Agents) -> Iterator[Reason]:
    """Yields the settings that prevent gfd from publishing the label. Runs gfd with other settings."""
    settings = agents.settings.gfd
    if key == SIMULATED:
        yield Reason(agent=GFD, why="--simulate is not set")
    if not settings.timestamp and key in agents.run_gfd(replace(settings, timestamp=True)).labels:
        yield Reason(agent=GFD, why="--no-timestamp is set")
    others = [each for each in get_args(MigStrategy) if each != settings.mig_strategy]
    values = {each: agents.run_gfd(replace(settings, mig_strategy=each)).labels.get(key) for each in others}
    evidence = tuple(
        f"with --mig-strategy {strategy} the value would be {value or 'empty'}"
        for strategy, value in values.items()
        if value is not None
    )
    if evidence:
        yield Reason(agent=GFD, why=f"--mig-strategy is {settings.mig_strategy}", evidence=evidence)


def _gpu_reason(key: str, declared: LabelDeclaration, agents: Agents, inventory: Inventory) -> Reason:
    condition = f"this host does not fulfil the condition of the label: {plain(declared.presence)}"
    if key.startswith(VGPU_KEYS):
        return Reason(agent=GFD, why=condition)
    if not inventory.gpus:
        return Reason(agent=GFD, why="this host has no GPU", evidence=(inventory.why_empty or "",))
    facts = [describe_gpus(inventory)]
    calls = declared.source
    if declared in mig.DECLARED:
        calls += " nvmlDeviceGetMigMode"
        facts.append(f"--mig-strategy is {agents.settings.gfd.mig_strategy}")
    failures = describe_failures(read_failures(agents.dependencies), calls) if agents.uses_nvml else []
    if failures:
        return Reason(agent=GFD, why="NVML does not report the value", evidence=(*failures, *facts))
    return Reason(agent=GFD, why=condition, evidence=tuple(facts))
