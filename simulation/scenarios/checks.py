"""Checks of scenario files beyond the types of their fields. PURE. All problems are reported at once, with their paths."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import msgspec

from gpu_core.domain.mig import MIB
from gpu_core.nvml.api import FUNCTIONS
from node_core.domain.quantity import parse_quantity
from node_core.schema import suggest
from simulation.scenarios.file_format import (
    FabricState,
    FaultEvent,
    FaultKind,
    GpuGroup,
    MemoryState,
    MigFile,
    NvLinkFile,
    ScenarioFile,
    UseFile,
)
from simulation.scenarios.mig_placements import capacity_problem
from simulation.scenarios.mig_profiles import BOARDS, parse_instance

MAX_GPUS = 64
SWITCH_LINKS = 18
"""The default number of links to NVSwitches of a GPU."""
COUNT = "nvmlDeviceGetCount"
INIT = "nvmlInit_v2"
CALLS = tuple(sorted(set(FUNCTIONS.values()) - {COUNT}))
"""The NVML functions of faults of the kind `unsupported`. NVML always supports nvmlDeviceGetCount."""
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
_ADDITIONAL_CALLS = {"hang": {COUNT}, "fails": {COUNT, INIT}}
_KEYS: Mapping[FaultKind, tuple[str, str]] = {
    "lost": ("gpu", ""),
    "unsupported": ("call", "gpu"),
    "driver_gone": ("", ""),
    "hang": ("call", "gpu"),
    "fails": ("call result", "gpu"),
    "xid": ("gpu code", "mig times per_second"),
    "ecc": ("gpu count", ""),
    "memory": ("gpu state", ""),
    "recovery": ("gpu action", ""),
    "throttle": ("gpu brake", ""),
    "mig": ("gpu instances", ""),
    "nvlink": ("gpu count", ""),
    "fabric": ("state", "gpu"),
}
"""The required and the optional keys of each kind of fault, in addition to `at`, `for` and `kind`."""
_STATES = {"memory": get_args(MemoryState), "fabric": get_args(FabricState)}


def parse_memory(text: str) -> int:
    """Parses a quantity (`81559Mi`, `16Gi`). Returns bytes. Raises ValueError with the reason."""
    value = parse_quantity(text)
    if value.denominator != 1 or value < 0:
        raise ValueError(f"{text!r} is not a number of bytes")
    if 0 < value < MIB:
        raise ValueError(f"{text!r} is less than 1Mi. Specify the unit, such as 16Gi or 81559Mi.")
    return int(value)


def scenario_problems(file: ScenarioFile) -> list[str]:
    """Returns one line for each problem; empty for a valid file."""
    total = sum(group.count for group in file.gpus)
    problems = [problem for at, group in enumerate(file.gpus) for problem in _group_problems(f"gpus[{at}]", group)]
    problems += _duplicates("uuid", [uuid for group in file.gpus for uuid in group.uuid or ()])
    problems += _duplicates("pci", [address for group in file.gpus for address in _addresses(group)])
    problems += [f"gpus: there are {total} GPUs. At most {MAX_GPUS} can be simulated."] if total > MAX_GPUS else []
    problems += _nvlink_problems(file.nvlink, total)
    problems += _pcie_problems(file)
    problems += _off_bus_problems(file)
    problems += (
        ["fabric.cluster_uuid: is zero. In NVML this means that no fabric is attached."] if _zero_cluster(file) else []
    )
    for at, fault in enumerate(file.faults):
        problems += fault_problems(f"faults[{at}]", fault, file)
    return problems


def _group_problems(path: str, group: GpuGroup) -> Iterator[str]:
    if group.memory is not None:
        yield from _memory_problem(f"{path}.memory", group.memory)
    for name, values in (("numa", group.numa), ("uuid", group.uuid), ("pci", group.pci)):
        if isinstance(values, list) and len(values) != group.count:
            yield f"{path}.{name}: has {len(values)} entries for {group.count} GPUs"
    if group.mig is not None:
        yield from _mig_problems(f"{path}.mig", group.model, group.mig)
    yield from _use_problems(f"{path}.use", group.use, group)
    if group.pci != "none" and group.device_id is None:
        yield f"{path}.device_id: is missing"
    if group.pci == "none":
        given = (name for name in ("device_id", "numa") if getattr(group, name) is not None)
        yield from (f"{path}.{name}: remove this key, because `pci` is `none`" for name in given)


def _no_gpu(index: int, total: int) -> str:
    last = f"the last GPU is {total - 1}" if total else "the scenario has no GPUs"
    return f"there is no GPU {index}, {last}"


def _group_of_each_gpu(file: ScenarioFile) -> list[GpuGroup]:
    """Returns the group of each GPU in the order of NVML."""
    return [group for group in file.gpus for _ in range(group.count)]


def _addresses(group: GpuGroup) -> list[str]:
    return group.pci if isinstance(group.pci, list) else []


def _off_bus_problems(file: ScenarioFile) -> Iterator[str]:
    """Reports NVLinks to a GPU that is not on a PCI bus. NVML identifies the other end of an NVLink by its PCI address."""
    groups = _group_of_each_gpu(file)
    for at, peer in enumerate(file.nvlink.peers):
        for index in peer.gpus:
            if index < len(groups) and groups[index].pci == "none":
                yield f"nvlink.peers[{at}].gpus: GPU {index} is not on a PCI bus, so it cannot have NVLinks"


def _memory_problem(path: str, memory: str) -> Iterator[str]:
    try:
        parse_memory(memory)
    except ValueError as error:
        yield f"{path}: {error}"


def _use_problems(path: str, use: UseFile, group: GpuGroup) -> Iterator[str]:
    if use.used is not None:
        yield from _memory_problem(f"{path}.used", use.used)
    slots = len(group.mig.instances) if group.mig else 0
    for at, process in enumerate(use.processes):
        yield from _memory_problem(f"{path}.processes[{at}].memory", process.memory)
        if process.mig is not None and process.mig >= slots:
            yield f"{path}.processes[{at}].mig: there is no MIG device in slot {process.mig}"


def _mig_problems(path: str, model: str, mig: MigFile) -> Iterator[str]:
    if mig.instances and mig.mode == "disabled":
        yield f"{path}.instances: set `mode: enabled`, or remove the instances"
    if mig.instances and model not in BOARDS:
        known = ", ".join(BOARDS)
        yield f"{path}.instances: the MIG profiles of {model} are unknown{suggest(model, BOARDS)}. Use one of the models {known}."
        return
    instances = []
    for at, name in enumerate(mig.instances):
        try:
            instances.append(parse_instance(model, name))
        except ValueError as error:
            yield f"{path}.instances[{at}]: {error}"
    problem = capacity_problem(model, tuple(instances)) if instances else None
    if problem:
        yield f"{path}.instances: {problem}"


def _duplicates(name: str, values: Sequence[str]) -> list[str]:
    duplicates = sorted({value for value in values if values.count(value) > 1})
    return [f"gpus: {name} {value} occurs twice" for value in duplicates]


def _nvlink_problems(nvlink: NvLinkFile, total: int) -> list[str]:
    problems = (
        ["nvlink: peers and nvswitch exclude each other. Use one of them."] if nvlink.nvswitch and nvlink.peers else []
    )
    if nvlink.switch_links is not None and not nvlink.nvswitch:
        problems.append("nvlink.switch_links: set `nvswitch: true`, or remove this key")
    pairs = [tuple(sorted(peer.gpus)) for peer in nvlink.peers]
    for at, (first, second) in enumerate(pairs):
        path = f"nvlink.peers[{at}].gpus"
        if second >= total:
            problems.append(f"{path}: {_no_gpu(second, total)}")
        if first == second:
            problems.append(f"{path}: a GPU is not its own peer")
        if (first, second) in pairs[:at]:
            problems.append(f"{path}: the pair {first}, {second} occurs twice")
    return problems


def _pcie_problems(file: ScenarioFile) -> Iterator[str]:
    gpus = _group_of_each_gpu(file)
    for name, groups in msgspec.structs.asdict(file.pcie).items():
        indices = [index for group in groups for index in group]
        for index in sorted(set(indices)):
            if index >= len(gpus):
                yield f"pcie.{name}: {_no_gpu(index, len(gpus))}"
            elif gpus[index].pci == "none":
                yield f"pcie.{name}: GPU {index} is not on a PCI bus"
            if indices.count(index) > 1:
                yield f"pcie.{name}: GPU {index} occurs twice"


def _zero_cluster(file: ScenarioFile) -> bool:
    return file.fabric is not None and not file.fabric.cluster_uuid.replace("-", "").strip("0")


def fault_problems(path: str, fault: FaultEvent, file: ScenarioFile) -> list[str]:
    gpus = _group_of_each_gpu(file)
    present = {name for name, value in msgspec.structs.asdict(fault).items() if value is not None}
    required, optional = (set(names.split()) for names in _KEYS[fault.kind])
    unused = present - required - optional - {"at", "for_", "kind"}
    problems = [
        f"{path}.{name}: is missing. A fault of the kind {fault.kind} needs it." for name in sorted(required - present)
    ]
    problems += [f"{path}.{name}: a fault of the kind {fault.kind} does not have this key" for name in sorted(unused)]
    if fault.gpu is not None and fault.gpu >= len(gpus):
        problems.append(f"{path}.gpu: {_no_gpu(fault.gpu, len(gpus))}")
    else:
        problems += _slot_problem(path, fault, file)
        problems += _mig_layout_problems(path, fault, gpus)
        problems += _link_problem(path, fault, file)
    problems += _state_problem(path, fault)
    if fault.per_second is not None and fault.times is None:
        problems.append(f"{path}.per_second: set `times`, or remove this key")
    return [*problems, *_call_problems(path, fault)]


def _mig_layout_problems(path: str, fault: FaultEvent, gpus: list[GpuGroup]) -> Iterator[str]:
    if fault.kind != "mig" or fault.gpu is None or fault.instances is None:
        return
    group = gpus[fault.gpu]
    if group.mig is None or group.mig.mode != "enabled":
        yield f"{path}.gpu: GPU {fault.gpu} has no MIG devices to change. Set `mig: {{mode: enabled}}` for the GPU."
    yield from _mig_problems(path, group.model, MigFile(mode="enabled", instances=fault.instances))


def _state_problem(path: str, fault: FaultEvent) -> Iterator[str]:
    states = _STATES.get(fault.kind)
    if states and fault.state is not None and fault.state not in states:
        yield f"{path}.state: a fault of the kind {fault.kind} has no state {fault.state}. Use one of {', '.join(states)}."


def _link_problem(path: str, fault: FaultEvent, file: ScenarioFile) -> Iterator[str]:
    if fault.kind != "nvlink" or fault.gpu is None or fault.count is None:
        return
    nvlink = file.nvlink
    own = (nvlink.switch_links or SWITCH_LINKS) if nvlink.nvswitch else 0
    links = own + sum(peer.links for peer in nvlink.peers if fault.gpu in peer.gpus)
    if fault.count > links:
        yield f"{path}.count: GPU {fault.gpu} has {links} NVLinks"


def _slot_problem(path: str, fault: FaultEvent, file: ScenarioFile) -> Iterator[str]:
    """Reports a slot that the GPU never has."""
    if fault.kind != "xid" or fault.gpu is None or fault.mig is None:
        return
    mig = _group_of_each_gpu(file)[fault.gpu].mig
    layouts = [each.instances or [] for each in file.faults if each.kind == "mig" and each.gpu == fault.gpu]
    slots = max(len(instances) for instances in [mig.instances if mig else [], *layouts])
    if fault.mig >= slots:
        last = f"the last slot is {slots - 1}" if slots else "the GPU has no MIG devices"
        yield f"{path}.mig: GPU {fault.gpu} has no MIG device in slot {fault.mig}, {last}"


def _call_problems(path: str, fault: FaultEvent) -> Iterator[str]:
    calls = sorted({*CALLS, *_ADDITIONAL_CALLS.get(fault.kind, ())})
    if fault.call is not None and fault.call not in calls:
        yield f"{path}.call: is not a simulated NVML function{suggest(fault.call, calls)}. Use one of {', '.join(calls)}."
    if fault.call in SYSTEM_CALLS and fault.gpu is not None:
        yield f"{path}.gpu: remove this key, because {fault.call} is not a call for one GPU"
