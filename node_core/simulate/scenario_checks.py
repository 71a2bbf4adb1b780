"""What a scenario file's types cannot say. Pure; every problem at once, each with its path."""

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from node_core.decode import closest
from node_core.domain.mig import MIB
from node_core.domain.quantity import parse_quantity
from node_core.host.nvml.api import FUNCTIONS
from node_core.simulate.mig_profiles import PROFILES, capacity_problem, parse_instance
from node_core.simulate.scenario_file import (
    FabricState,
    FaultEvent,
    GpuGroup,
    MemoryState,
    MigFile,
    NvLinkFile,
    ScenarioFile,
)

MAX_GPUS = 64
SWITCH_LINKS = 18
"""Of a GPU whose scenario does not say how many."""
COUNT = "nvmlDeviceGetCount"
INIT = "nvmlInit_v2"
CALLS = tuple(sorted(set(FUNCTIONS.values()) - {COUNT}))
"""NVML functions that a fault of kind `unsupported` can name. A count that is not supported would be no answer of NVML."""
SYSTEM_CALLS = frozenset(
    {
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetCudaDriverVersion",
        "nvmlEventSetCreate",
        "nvmlEventSetFree",
        "nvmlEventSetWait_v2",
        COUNT,
        INIT,
    }
)
_MORE_CALLS = {"hang": {COUNT}, "fails": {COUNT, INIT}}
_NEEDS = {
    "lost": {"gpu"},
    "unsupported": {"call"},
    "driver_gone": set[str](),
    "hang": {"call"},
    "fails": {"call", "answer"},
    "xid": {"gpu", "code"},
    "ecc": {"gpu", "count"},
    "memory": {"gpu", "state"},
    "recovery": {"gpu", "action"},
    "throttle": {"gpu", "brake"},
    "mig": {"gpu", "instances"},
    "nvlink": {"gpu", "count"},
    "fabric": {"state"},
}
_ALLOWS = {
    "unsupported": {"gpu"},
    "hang": {"gpu"},
    "fails": {"gpu"},
    "xid": {"mig", "times", "per_second"},
    "fabric": {"gpu"},
}
_STATES = {"memory": get_args(MemoryState), "fabric": get_args(FabricState)}
_KEYS = (
    "gpu",
    "call",
    "answer",
    "code",
    "mig",
    "times",
    "per_second",
    "count",
    "state",
    "action",
    "brake",
    "instances",
)


def parse_memory(text: str) -> int:
    """Bytes of a quantity (`81559Mi`, `16Gi`). Raises ValueError with the reason."""
    value = parse_quantity(text)
    if value.denominator != 1 or value < 0:
        raise ValueError(f"{text!r} is not a number of bytes")
    if 0 < value < MIB:
        raise ValueError(f"{text!r} is less than 1Mi: write the unit, such as 16Gi or 81559Mi")
    return int(value)


def scenario_problems(file: ScenarioFile) -> list[str]:
    """One line per problem; empty for a sound file."""
    total = sum(group.count for group in file.gpus)
    problems = [problem for at, group in enumerate(file.gpus) for problem in _group_problems(f"gpus[{at}]", group)]
    problems += _duplicates("uuid", [uuid for group in file.gpus for uuid in group.uuid or ()])
    problems += _duplicates("pci", [address for group in file.gpus for address in _addresses(group)])
    problems += [f"gpus: {total} GPUs, at most {MAX_GPUS} are simulated"] if total > MAX_GPUS else []
    problems += _nvlink_problems(file.nvlink, total)
    problems += _pcie_problems(file)
    problems += _off_bus_problems(file)
    problems += ["fabric.cluster_uuid: is zero, which NVML takes as not attached"] if _zero_cluster(file) else []
    for at, event in enumerate(file.faults):
        problems += _fault_problems(f"faults[{at}]", event, file)
    return problems


def _group_problems(path: str, group: GpuGroup) -> Iterator[str]:
    if group.memory is not None:
        yield from _memory_problem(f"{path}.memory", group.memory)
    for name, values in (("numa", group.numa), ("uuid", group.uuid), ("pci", group.pci)):
        if isinstance(values, list) and len(values) != group.count:
            yield f"{path}.{name}: has {len(values)} entries for {group.count} GPUs"
    if group.mig is not None:
        yield from _mig_problems(f"{path}.mig", group.model, group.mig)
    if group.pci != "none" and group.device_id is None:
        yield f"{path}.device_id: is missing"
    if group.pci == "none":
        given = (name for name in ("device_id", "numa") if getattr(group, name) is not None)
        yield from (f"{path}.{name}: means nothing with pci: none" for name in given)


def _each_gpu(file: ScenarioFile) -> list[GpuGroup]:
    """The group of each GPU, in NVML's order."""
    return [group for group in file.gpus for _ in range(group.count)]


def _addresses(group: GpuGroup) -> list[str]:
    return group.pci if isinstance(group.pci, list) else []


def _off_bus_problems(file: ScenarioFile) -> Iterator[str]:
    """NVML names the other end of an NVLink by its PCI address."""
    groups = _each_gpu(file)
    for at, peer in enumerate(file.nvlink.peers):
        for index in peer.gpus:
            if index < len(groups) and groups[index].pci == "none":
                yield f"nvlink.peers[{at}].gpus: GPU {index} is on no PCI bus, where no NVLink leads"


def _memory_problem(path: str, memory: str) -> Iterator[str]:
    try:
        parse_memory(memory)
    except ValueError as error:
        yield f"{path}: {error}"


def _mig_problems(path: str, model: str, mig: MigFile) -> Iterator[str]:
    if mig.instances and mig.mode == "disabled":
        yield f"{path}.instances: need mode: enabled"
    if mig.instances and model not in PROFILES:
        known = ", ".join(PROFILES)
        yield f"{path}.instances: no MIG profiles are known of {model}{closest(model, list(PROFILES))}; they are of {known}"
        return
    instances = []
    for at, name in enumerate(mig.instances):
        try:
            instances.append(parse_instance(model, name))
        except ValueError as error:
            yield f"{path}.instances[{at}]: {error}"
    problem = capacity_problem(tuple(instances))
    if problem:
        yield f"{path}.instances: {problem}"


def _duplicates(name: str, values: Sequence[str]) -> list[str]:
    twice = sorted({value for value in values if values.count(value) > 1})
    return [f"gpus: {name} {value} is given twice" for value in twice]


def _nvlink_problems(nvlink: NvLinkFile, total: int) -> list[str]:
    problems = ["nvlink: give peers or nvswitch, not both"] if nvlink.nvswitch and nvlink.peers else []
    if nvlink.switch_links is not None and not nvlink.nvswitch:
        problems.append("nvlink.switch_links: needs nvswitch: true")
    pairs = [tuple(sorted(peer.gpus)) for peer in nvlink.peers]
    for at, (first, second) in enumerate(pairs):
        path = f"nvlink.peers[{at}].gpus"
        if second >= total:
            problems.append(f"{path}: there is no GPU {second}, the last one is {total - 1}")
        if first == second:
            problems.append(f"{path}: a GPU is not its own peer")
        if (first, second) in pairs[:at]:
            problems.append(f"{path}: the pair {first}, {second} is given twice")
    return problems


def _pcie_problems(file: ScenarioFile) -> Iterator[str]:
    gpus = _each_gpu(file)
    for name, groups in msgspec.structs.asdict(file.pcie).items():
        indices = [index for group in groups for index in group]
        for index in sorted(set(indices)):
            if index >= len(gpus):
                yield f"pcie.{name}: there is no GPU {index}, the last one is {len(gpus) - 1}"
            elif gpus[index].pci == "none":
                yield f"pcie.{name}: GPU {index} is on no PCI bus"
            if indices.count(index) > 1:
                yield f"pcie.{name}: GPU {index} is there twice"


def _zero_cluster(file: ScenarioFile) -> bool:
    return file.fabric is not None and not file.fabric.cluster_uuid.replace("-", "").strip("0")


def _fault_problems(path: str, event: FaultEvent, file: ScenarioFile) -> list[str]:
    gpus = _each_gpu(file)
    given = {name for name in _KEYS if getattr(event, name) is not None}
    needs, takes = _NEEDS[event.kind], _NEEDS[event.kind] | _ALLOWS.get(event.kind, set())
    problems = [f"{path}.{name}: is missing, kind {event.kind} needs it" for name in sorted(needs - given)]
    problems += [f"{path}.{name}: means nothing with kind {event.kind}" for name in sorted(given - takes)]
    if event.gpu is not None and event.gpu >= len(gpus):
        problems.append(f"{path}.gpu: there is no GPU {event.gpu}, the last one is {len(gpus) - 1}")
    else:
        problems += _slot_problem(path, event, file)
        problems += _cut_problems(path, event, gpus)
        problems += _link_problem(path, event, file)
    problems += _state_problem(path, event)
    if event.per_second is not None and event.times is None:
        problems.append(f"{path}.per_second: needs times")
    return [*problems, *_call_problems(path, event)]


def _cut_problems(path: str, event: FaultEvent, gpus: list[GpuGroup]) -> Iterator[str]:
    if event.kind != "mig" or event.gpu is None or event.instances is None:
        return
    group = gpus[event.gpu]
    if group.mig is None or group.mig.mode != "enabled":
        yield f"{path}.gpu: GPU {event.gpu} needs mig: {{mode: enabled}} to be cut"
    yield from _mig_problems(path, group.model, MigFile(mode="enabled", instances=event.instances))


def _state_problem(path: str, event: FaultEvent) -> Iterator[str]:
    states = _STATES.get(event.kind)
    if states and event.state is not None and event.state not in states:
        yield f"{path}.state: kind {event.kind} has no state {event.state}; there are {', '.join(states)}"


def _link_problem(path: str, event: FaultEvent, file: ScenarioFile) -> Iterator[str]:
    if event.kind != "nvlink" or event.gpu is None or event.count is None:
        return
    nvlink = file.nvlink
    own = (nvlink.switch_links or SWITCH_LINKS) if nvlink.nvswitch else 0
    links = own + sum(peer.links for peer in nvlink.peers if event.gpu in peer.gpus)
    if event.count > links:
        yield f"{path}.count: GPU {event.gpu} has {links} NVLinks"


def _slot_problem(path: str, event: FaultEvent, file: ScenarioFile) -> Iterator[str]:
    """A slot that the GPU has at no time."""
    if event.kind != "xid" or event.gpu is None or event.mig is None:
        return
    mig = _each_gpu(file)[event.gpu].mig
    cuts = [each.instances or [] for each in file.faults if each.kind == "mig" and each.gpu == event.gpu]
    slots = max(len(instances) for instances in [mig.instances if mig else [], *cuts])
    if event.mig >= slots:
        last = f"the last one is {slots - 1}" if slots else "it is not cut"
        yield f"{path}.mig: GPU {event.gpu} has no MIG device in slot {event.mig}, {last}"


def _call_problems(path: str, event: FaultEvent) -> Iterator[str]:
    calls = sorted({*CALLS, *_MORE_CALLS.get(event.kind, ())})
    if event.call is not None and event.call not in calls:
        yield f"{path}.call: no such call is simulated{closest(event.call, calls)}; there are {', '.join(calls)}"
    if event.call in SYSTEM_CALLS and event.gpu is not None:
        yield f"{path}.gpu: {event.call} is not asked of a GPU"
