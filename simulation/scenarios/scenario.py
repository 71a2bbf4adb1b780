"""Scenarios: simulated nodes with GPUs and faults, loaded from files. `file_format` defines the files.

UUIDs that a file does not specify are computed from the scenario's name and the GPU's index, so they are the same in each run.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from msgspec import structs

from gpu_core.domain.inventory import ComputeCapability, CudaVersion, Driver, Fabric, GpuUuid
from gpu_core.nvml.api import NvLinks
from node_core.decode import decode_struct, read_yaml
from node_core.domain.pci import PciAddress
from node_core.errors import SettingsError
from node_core.schema import suggest
from node_core.values import replace
from simulation.scenarios.checks import SWITCH_LINKS, fault_problems, parse_memory, scenario_problems
from simulation.scenarios.file_format import FaultEvent, GpuGroup, MigFile, NvLinkFile, PcieFile, ScenarioFile
from simulation.scenarios.mig_layout import (
    MigState,
    SimulatedInstance,
    SimulatedMig,
    build_instances,
    list_devices,
    make_uuid,
)
from simulation.scenarios.use import SimulatedUse, build_use

NVIDIA = "10de"

TOPOLOGY_LEVELS = {"board": 0, "switch": 10, "switches": 20, "host_bridge": 30}
TOPOLOGY_NODE, TOPOLOGY_SYSTEM = 40, 50
"""The values of nvmlGpuTopologyLevel_t by their names in scenario files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedGpu:
    """A GPU with its values in NVML and PCI. device_id, subsystem_id, class_code: four hex digits. bus_id: in the format of NVML.

    For a GPU that is not on a PCI bus, address and bus_id are None and device_id is "". mig: None for a GPU without MIG.
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
    mig: MigState | None
    links: NvLinks
    fabric: Fabric | None
    use: SimulatedUse

    @property
    def bus_id(self) -> str | None:
        return None if self.address is None else render_bus_id(self.address)

    @property
    def mig_capable(self) -> bool:
        return self.mig is not None

    @property
    def mig_enabled(self) -> bool:
        return self.mig is not None and self.mig.is_enabled

    @property
    def mig_devices(self) -> tuple[SimulatedMig, ...]:
        return self.mig.devices if self.mig else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigLayout:
    """The GPU instances of a GPU while a fault of kind `mig` is active."""

    fault: FaultEvent
    instances: tuple[SimulatedInstance, ...]

    @property
    def mig_devices(self) -> tuple[SimulatedMig, ...]:
        return list_devices(self.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGroup:
    """GPUs with a common ancestor. level: nvmlGpuTopologyLevel_t."""

    level: int
    gpus: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """driver: None for a node without driver. faults: in the order of the file. wsl: Windows owns the GPUs.

    gpus: the GPUs without faults; see `gpu_at`. mig_layouts: of the faults of kind `mig`. pcie: the nearest group first. file: the content
    of the file.
    """

    name: str
    file: ScenarioFile = field(compare=False, repr=False)
    driver: Driver | None
    gpus: tuple[SimulatedGpu, ...]
    faults: tuple[FaultEvent, ...] = ()
    wsl: bool = False
    mig_layouts: tuple[MigLayout, ...] = ()
    pcie: tuple[PciGroup, ...] = ()

    def common_ancestor(self, first: SimulatedGpu, second: SimulatedGpu) -> int | None:
        """Returns the topology level; None if one of the GPUs is not on a PCI bus of Linux. Without a group, the NUMA nodes decide."""
        if self.wsl or None in (first.address, second.address):
            return None
        numa_level = TOPOLOGY_NODE if first.numa_node == second.numa_node else TOPOLOGY_SYSTEM
        return next((group.level for group in self.pcie if {first.index, second.index} <= group.gpus), numa_level)

    def gpu_at(self, index: int, now: float) -> SimulatedGpu:
        """Returns the GPU at `now` seconds since the start, with the latest MIG layout and without the NVLinks that are down."""
        gpu = self.gpus[index]
        faults = (each for each in self.faults if each.kind == "nvlink" and each.gpu == index and each.is_active(now))
        if down := sum(fault.count or 0 for fault in faults):
            gpu = replace(gpu, links=_remove_links(gpu.links, down))
        active = [each for each in self.mig_layouts if each.fault.gpu == index and each.fault.is_active(now)]
        if not active or gpu.mig is None:
            return gpu
        latest = max(active, key=lambda layout: layout.fault.at)
        return replace(gpu, mig=replace(gpu.mig, instances=latest.instances))

    def delayed(self, seconds: float) -> "Scenario":
        """Returns the scenario with later faults."""
        layouts = (replace(layout, fault=_delay(layout.fault, seconds)) for layout in self.mig_layouts)
        return replace(self, faults=tuple(_delay(fault, seconds) for fault in self.faults), mig_layouts=tuple(layouts))

    def with_faults_of(self, other: "Scenario") -> "Scenario":
        """Returns the scenario with the faults of another scenario in addition. The other scenario has the same GPUs."""
        return replace(
            self,
            file=_add_faults(self.file, other.faults),
            faults=(*self.faults, *other.faults),
            mig_layouts=(*self.mig_layouts, *other.mig_layouts),
        )

    def has_same_hardware(self, other: "Scenario") -> bool:
        """Returns whether the scenarios differ only in their faults."""
        return self.without_faults() == other.without_faults()

    def without_faults(self) -> "Scenario":
        return replace(self, file=structs.replace(self.file, faults=[]), faults=(), mig_layouts=())

    @property
    def on_pci(self) -> Mapping[PciAddress, SimulatedGpu]:
        """The GPUs on a PCI bus of Linux."""
        return {gpu.address: gpu for gpu in self.gpus if gpu.address is not None and not self.wsl}


def scenario_names() -> tuple[str, ...]:
    """Returns the names of the included scenarios, sorted."""
    files = _included_files().iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_scenario(name_or_path: str) -> Scenario:
    """Loads an included scenario or a YAML file. Raises SettingsError with all problems and their paths in the file."""
    names = scenario_names()
    if name_or_path in names:
        with resources.as_file(_included_files() / f"{name_or_path}.yaml") as path:
            return parse_scenario(name_or_path, read_yaml(path), source=name_or_path)
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        return parse_scenario(path.stem, read_yaml(path), source=name_or_path)
    hint = suggest(name_or_path, names)
    raise SettingsError(
        [f"there is no scenario {name_or_path!r}{hint}. Use one of {', '.join(names)}, or the path of a YAML file."]
    )


def parse_scenario(name: str, data: object, *, source: str) -> Scenario:
    """Parses the contents of a YAML file. source: the name of the file, for messages. Raises SettingsError."""
    file = decode_struct(data, ScenarioFile, source=source)
    problems = scenario_problems(file)
    if problems:
        raise SettingsError([f"{source}: {problem}" for problem in problems])
    return _build_scenario(name, file)


def parse_fault(scenario: Scenario, data: Mapping[str, object], *, number: int) -> Scenario:
    """Parses a fault as in a scenario file. Returns the scenario with only this fault. `at` is 0 by default. Raises SettingsError.

    number: makes the UUIDs of new MIG devices different from those of earlier faults.
    """
    fault = decode_struct({"at": 0, **data}, FaultEvent, source="fault")
    if problems := fault_problems("fault", fault, _add_faults(scenario.file, [fault])):
        raise SettingsError(problems)
    return _build_scenario(scenario.name, structs.replace(scenario.file, faults=[fault]), number)


def _build_scenario(name: str, file: ScenarioFile, first_layout: int = 0) -> Scenario:
    """first_layout: the number of the first MIG layout; see `parse_fault`."""
    return Scenario(
        name=name,
        file=file,
        driver=_parse_driver(file),
        gpus=tuple(_build_gpus(name, file)),
        faults=tuple(file.faults),
        wsl=file.wsl,
        mig_layouts=tuple(_build_mig_layouts(name, file, first_layout)),
        pcie=tuple(_build_pci_groups(file.pcie)),
    )


def pci_attributes(scenario: Scenario) -> tuple[Mapping[str, str], ...]:
    """Returns the PCI functions of the GPUs as NFD's `pci.device`. NVSwitches and other functions of the boards are not simulated."""
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
    """Returns the address in the format of NVML: eight digits for the domain, upper case."""
    domain, _, rest = address.partition(":")
    return f"{domain:0>8}:{rest}".upper()


def _add_faults(file: ScenarioFile, faults: Iterable[FaultEvent]) -> ScenarioFile:
    return structs.replace(file, faults=[*file.faults, *faults])


def _delay(fault: FaultEvent, seconds: float) -> FaultEvent:
    return structs.replace(fault, at=fault.at + seconds)


def _included_files() -> Traversable:
    return resources.files("simulation") / "scenarios"


def _parse_driver(file: ScenarioFile) -> Driver | None:
    if file.driver is None:
        return None
    cuda = None
    if file.driver.cuda is not None:
        major, minor = map(int, file.driver.cuda.split("."))
        cuda = CudaVersion(major=major, minor=minor)
    return Driver(version=file.driver.version, cuda=cuda)


def _build_gpus(name: str, file: ScenarioFile) -> Iterator[SimulatedGpu]:
    positions = [(group, at) for group in file.gpus for at in range(group.count)]
    addresses = [_select_address(group, at, index) for index, (group, at) in enumerate(positions)]
    fabric = _build_fabric(file)
    for index, (group, at) in enumerate(positions):
        seed = f"{name}/{index}"
        yield SimulatedGpu(
            index=index,
            uuid=GpuUuid(group.uuid[at] if group.uuid else f"GPU-{make_uuid(seed)}"),
            model=group.model,
            memory_bytes=None if group.memory is None else parse_memory(group.memory),
            compute=_parse_compute(group.compute),
            address=addresses[index],
            device_id=group.device_id or "",
            subsystem_id=group.subsystem_id,
            class_code=group.class_,
            numa_node=group.numa[at] if isinstance(group.numa, list) else group.numa,
            mig=None if group.mig is None else _build_mig(seed, group.model, group.mig),
            links=_build_links(index, file.nvlink, addresses),
            fabric=fabric,
            use=build_use(group.use, index),
        )


def _build_pci_groups(pcie: PcieFile) -> Iterator[PciGroup]:
    for name, level in TOPOLOGY_LEVELS.items():
        yield from (PciGroup(level=level, gpus=frozenset(group)) for group in getattr(pcie, name))


def _build_fabric(file: ScenarioFile) -> Fabric | None:
    if file.fabric is None:
        return None
    return Fabric(cluster_uuid=file.fabric.cluster_uuid, clique=file.fabric.clique)


def _parse_compute(text: str | None) -> ComputeCapability | None:
    if text is None:
        return None
    major, minor = map(int, text.split("."))
    return ComputeCapability(major=major, minor=minor)


def _select_address(group: GpuGroup, at: int, index: int) -> PciAddress | None:
    if group.pci == "none":
        return None
    return PciAddress(group.pci[at] if group.pci else f"0000:{0x10 + 3 * index:02x}:00.0")


def _build_mig(seed: str, model: str, mig: MigFile) -> MigState:
    is_enabled = mig.mode == "enabled"
    instances = build_instances(seed, model, mig.instances)
    return MigState(is_enabled=is_enabled, is_pending=is_enabled, instances=instances)


def _build_mig_layouts(name: str, file: ScenarioFile, first: int) -> Iterator[MigLayout]:
    groups = [group for group in file.gpus for _ in range(group.count)]
    for at, fault in enumerate(file.faults, first):
        if fault.kind == "mig" and fault.gpu is not None:
            seed = f"{name}/{fault.gpu}/cut {at}"
            instances = build_instances(seed, groups[fault.gpu].model, fault.instances or ())
            yield MigLayout(fault=fault, instances=instances)


def _remove_links(links: NvLinks, down: int) -> NvLinks:
    """Removes `down` links; links to NVSwitches are removed first."""
    direct = max(0, down - links.switched)
    return NvLinks(remotes=links.remotes[direct:], switched=max(0, links.switched - down))


def _build_links(index: int, nvlink: NvLinkFile, addresses: list[PciAddress | None]) -> NvLinks:
    if nvlink.nvswitch:
        return NvLinks(switched=nvlink.switch_links or SWITCH_LINKS)
    peers = [(peer.gpus[1 - peer.gpus.index(index)], peer.links) for peer in nvlink.peers if index in peer.gpus]
    links_to_peers = ((addresses[second], links) for second, links in peers)
    return NvLinks(
        remotes=tuple(render_bus_id(at) for at, links in links_to_peers if at is not None for _ in range(links))
    )
