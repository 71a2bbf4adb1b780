"""A node with GPUs that does not exist: what its NVML, its PCI bus and its faults say. One file drives all of them.

`scenario_file` is the file's form, `scenarios/` are the files that ship; this is what they become. UUIDs that a file does not give
follow from the scenario's name and the GPU's index, so that they are the same on every run.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from node_core.decode import closest, decode_struct, read_yaml
from node_core.domain.inventory import ComputeCapability, CudaVersion, Driver, Fabric, GpuUuid, MigUuid, PciAddress
from node_core.errors import SettingsError
from node_core.host.nvml.api import NvLinks
from node_core.simulate.mig_profiles import Instance, parse_instance
from node_core.simulate.scenario_checks import SWITCH_LINKS, parse_memory, scenario_problems
from node_core.simulate.scenario_file import FaultEvent, GpuGroup, NvLinkFile, PcieFile, ScenarioFile

NVIDIA = "10de"

TOPOLOGY_LEVELS = {"board": 0, "switch": 10, "switches": 20, "host_bridge": 30}
TOPOLOGY_NODE, TOPOLOGY_SYSTEM = 40, 50
"""nvmlGpuTopologyLevel_t, by the names that scenario files have for them."""

_FIRST_GPU_INSTANCE = {7: 0, 4: 1, 3: 1, 2: 3, 1: 7}
"""Compute slices -> the lowest GPU instance id that drivers give to such an instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMig:
    """A MIG device. slot, gpu_instance, compute_instance: as of domain.inventory.MigDevice."""

    uuid: MigUuid
    slot: int
    gpu_instance: int
    compute_instance: int
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedGpu:
    """A GPU as NVML and PCI know it. device_id, subsystem_id, class_code: four hex digits. bus_id: in NVML's form.

    address, bus_id: None for a GPU on no PCI bus; its device_id is then empty.
    """

    index: int
    uuid: GpuUuid
    model: str
    memory_bytes: int | None
    compute: ComputeCapability | None
    address: PciAddress | None
    device_id: str
    subsystem_id: str
    class_code: str
    numa_node: int | None
    mig_capable: bool
    mig_enabled: bool
    mig_devices: tuple[SimulatedMig, ...]
    links: NvLinks
    fabric: Fabric | None

    @property
    def bus_id(self) -> str | None:
        return None if self.address is None else render_bus_id(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The MIG devices that a GPU has while a fault of kind `mig` is there."""

    fault: FaultEvent
    mig_devices: tuple[SimulatedMig, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGroup:
    """GPUs with a common ancestor at this level of NVML's."""

    level: int
    gpus: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """driver: None on a node without one, whether or not it has GPUs. faults: in the file's order. wsl: Windows has the GPUs.

    gpus: as they are before a fault; `gpu_at` says how they are cut later. pcie: the nearest first.
    """

    name: str
    driver: Driver | None
    gpus: tuple[SimulatedGpu, ...]
    faults: tuple[FaultEvent, ...] = ()
    wsl: bool = False
    cuts: tuple[Cut, ...] = ()
    pcie: tuple[PciGroup, ...] = ()

    def common_ancestor(self, one: SimulatedGpu, other: SimulatedGpu) -> int | None:
        """NVML's level; None between GPUs that Linux does not see on a PCI bus. What no group says follows from NUMA."""
        if self.wsl or None in (one.address, other.address):
            return None
        otherwise = TOPOLOGY_NODE if one.numa_node == other.numa_node else TOPOLOGY_SYSTEM
        return next((group.level for group in self.pcie if {one.index, other.index} <= group.gpus), otherwise)

    def gpu_at(self, index: int, now: float) -> SimulatedGpu:
        """now: seconds since the start. The latest cut counts, and every NVLink that is down."""
        gpu = self.gpus[index]
        faults = (each for each in self.faults if each.kind == "nvlink" and each.gpu == index and each.is_active(now))
        if down := sum(fault.count or 0 for fault in faults):
            gpu = replace(gpu, links=_without(gpu.links, down))
        active = [cut for cut in self.cuts if cut.fault.gpu == index and cut.fault.is_active(now)]
        if not active:
            return gpu
        return replace(gpu, mig_devices=max(active, key=lambda cut: cut.fault.at).mig_devices)

    @property
    def on_pci(self) -> Mapping[PciAddress, SimulatedGpu]:
        """The GPUs that the kernel sees on the PCI bus."""
        return {gpu.address: gpu for gpu in self.gpus if gpu.address is not None and not self.wsl}


def scenario_names() -> tuple[str, ...]:
    """The scenarios that ship, sorted."""
    files = _shipped().iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario, or the YAML file at a path. Raises SettingsError with every problem of the file, each with its path in it."""
    names = scenario_names()
    if name_or_path in names:
        with resources.as_file(_shipped() / f"{name_or_path}.yaml") as path:
            return parse_scenario(name_or_path, read_yaml(path), source=name_or_path)
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        return parse_scenario(path.stem, read_yaml(path), source=name_or_path)
    hint = closest(name_or_path, list(names))
    raise SettingsError(
        [f"no scenario {name_or_path!r}{hint}: give one of {', '.join(names)}, or the path of a YAML file"]
    )


def parse_scenario(name: str, data: object, *, source: str) -> Scenario:
    """data: what YAML holds. source: the file, for messages. Raises SettingsError."""
    file = decode_struct(data, ScenarioFile, source=source)
    problems = scenario_problems(file)
    if problems:
        raise SettingsError([f"{source}: {problem}" for problem in problems])
    return Scenario(
        name=name,
        driver=_driver(file),
        gpus=tuple(_gpus(name, file)),
        faults=tuple(file.faults),
        wsl=file.wsl,
        cuts=tuple(_cuts(name, file)),
        pcie=tuple(_pci_groups(file.pcie)),
    )


def pci_attributes(scenario: Scenario) -> tuple[Mapping[str, str], ...]:
    """The GPUs' PCI functions in NFD's form of `pci.device`; NVSwitches and the boards' other functions are not simulated."""
    return tuple(
        {
            "class": gpu.class_code,
            "vendor": NVIDIA,
            "device": gpu.device_id,
            "subsystem_vendor": NVIDIA,
            "subsystem_device": gpu.subsystem_id,
        }
        for gpu in scenario.on_pci.values()
    )


def render_bus_id(address: PciAddress) -> str:
    """As NVML writes it: eight domain digits, upper case."""
    domain, _, rest = address.partition(":")
    return f"{domain:0>8}:{rest}".upper()


def _shipped() -> Traversable:
    return resources.files("node_core.simulate") / "scenarios"


def _driver(file: ScenarioFile) -> Driver | None:
    if file.driver is None:
        return None
    cuda = None
    if file.driver.cuda is not None:
        major, minor = map(int, file.driver.cuda.split("."))
        cuda = CudaVersion(major=major, minor=minor)
    return Driver(version=file.driver.version, cuda=cuda)


def _gpus(name: str, file: ScenarioFile) -> Iterator[SimulatedGpu]:
    placed = [(group, at) for group in file.gpus for at in range(group.count)]
    addresses = [_address(group, at, index) for index, (group, at) in enumerate(placed)]
    fabric = _fabric(file)
    for index, (group, at) in enumerate(placed):
        seed = f"{name}/{index}"
        yield SimulatedGpu(
            index=index,
            uuid=GpuUuid(group.uuid[at] if group.uuid else f"GPU-{_uuid(seed)}"),
            model=group.model,
            memory_bytes=None if group.memory is None else parse_memory(group.memory),
            compute=_compute(group.compute),
            address=addresses[index],
            device_id=group.device_id or "",
            subsystem_id=group.subsystem_id,
            class_code=group.class_,
            numa_node=group.numa[at] if isinstance(group.numa, list) else group.numa,
            mig_capable=group.mig is not None,
            mig_enabled=group.mig is not None and group.mig.mode == "enabled",
            mig_devices=tuple(_mig_devices(seed, group.model, group.mig.instances if group.mig else ())),
            links=_links(index, file.nvlink, addresses),
            fabric=fabric,
        )


def _pci_groups(pcie: PcieFile) -> Iterator[PciGroup]:
    for name, level in TOPOLOGY_LEVELS.items():
        yield from (PciGroup(level=level, gpus=frozenset(group)) for group in getattr(pcie, name))


def _fabric(file: ScenarioFile) -> Fabric | None:
    if file.fabric is None:
        return None
    return Fabric(cluster_uuid=file.fabric.cluster_uuid, clique=file.fabric.clique)


def _compute(text: str | None) -> ComputeCapability | None:
    if text is None:
        return None
    major, minor = map(int, text.split("."))
    return ComputeCapability(major=major, minor=minor)


def _address(group: GpuGroup, at: int, index: int) -> PciAddress | None:
    if group.pci == "none":
        return None
    return PciAddress(group.pci[at] if group.pci else f"0000:{0x10 + 3 * index:02x}:00.0")


def _uuid(seed: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"gpunode/{seed}"))


def _cuts(name: str, file: ScenarioFile) -> Iterator[Cut]:
    groups = [group for group in file.gpus for _ in range(group.count)]
    for at, fault in enumerate(file.faults):
        if fault.kind == "mig" and fault.gpu is not None:
            seed = f"{name}/{fault.gpu}/cut {at}"
            devices = _mig_devices(seed, groups[fault.gpu].model, fault.instances or ())
            yield Cut(fault=fault, mig_devices=tuple(devices))


def _mig_devices(seed: str, model: str, names: Iterable[str]) -> Iterator[SimulatedMig]:
    taken: set[int] = set()
    for slot, name in enumerate(names):
        instance = parse_instance(model, name)
        number = _FIRST_GPU_INSTANCE[instance.profile.slices]
        while number in taken:
            number += 1
        taken.add(number)
        yield SimulatedMig(
            uuid=MigUuid(f"MIG-{_uuid(f'{seed}/{slot}/{name}')}"),
            slot=slot,
            gpu_instance=number,
            compute_instance=0,
            instance=instance,
        )


def _without(links: NvLinks, down: int) -> NvLinks:
    """Those to switches go first."""
    direct = max(0, down - links.switched)
    return NvLinks(remotes=links.remotes[direct:], switched=max(0, links.switched - down))


def _links(index: int, nvlink: NvLinkFile, addresses: list[PciAddress | None]) -> NvLinks:
    if nvlink.nvswitch:
        return NvLinks(switched=nvlink.switch_links or SWITCH_LINKS)
    peers = [(peer.gpus[1 - peer.gpus.index(index)], peer.links) for peer in nvlink.peers if index in peer.gpus]
    found = ((addresses[other], links) for other, links in peers)
    return NvLinks(remotes=tuple(render_bus_id(at) for at, links in found if at is not None for _ in range(links)))
