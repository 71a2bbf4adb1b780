"""A node with fake driver files and device nodes, at their mount paths in the plugin's container."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpu_core.cdi.options import CdiOptions
from gpu_core.cdi.plan import CdiPlan, plan_specs
from gpu_core.cdi.roots import Roots
from gpu_core.domain.inventory import (
    UNKNOWN_VERSION,
    CudaVersion,
    Driver,
    Gpu,
    GpuUuid,
    Inventory,
    MigAttributes,
    MigDevice,
    MigUuid,
    Platform,
)
from gpu_core.host.device_nodes import DeviceNodes, HostNode, read_device_nodes
from gpu_core.host.driver_files import DriverFiles, read_driver_files
from node_core.domain.pci import PciAddress
from node_core.host.root import HostRoot
from node_core.values import replace
from tests.roots.drivers.layout import lay_out_tree, read_composed_node

CTK = "/usr/bin/nvidia-ctk"
WHOLE = GpuUuid("GPU-5a6b7c8d-0000-4000-8000-000000000000")
CUT = GpuUuid("GPU-5a6b7c8d-0000-4000-8000-000000000001")
MIGS = (MigUuid("MIG-11111111-0000-5000-8000-000000000002"), MigUuid("MIG-22222222-0000-5000-8000-000000000003"))
CUDA = CudaVersion(major=12, minor=4)
ADDRESSES = (PciAddress("0000:17:00.0"), PciAddress("0000:ca:00.0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The inputs of plan_specs. root: the mount path of the driver root."""

    root: Path
    inventory: Inventory
    driver: DriverFiles
    nodes: DeviceNodes
    options: CdiOptions

    def plan(self) -> CdiPlan:
        return plan_specs(self.inventory, self.driver, self.nodes, self.options)

    def with_options(self, **fields: object) -> "Node":
        return replace(self, options=replace(self.options, **fields))  # type: ignore[arg-type]


LoadNode = Callable[..., Node]


def make_mig(slot: int, uuid: MigUuid, gpu_instance: int, profile: str = "1g.10gb") -> MigDevice:
    attributes = MigAttributes(
        memory_mib=9856, multiprocessors=16, gpu_instance_slices=1, compute_instance_slices=1, copy_engines=1,
        decoders=1, encoders=0, jpeg_engines=1, ofa_engines=0,
    )  # fmt: skip
    return MigDevice(
        uuid=uuid, slot=slot, gpu_instance=gpu_instance, compute_instance=0, profile=profile, attributes=attributes
    )


def make_gpu(index: int, uuid: GpuUuid, migs: tuple[MigDevice, ...] | None = None) -> Gpu:
    return Gpu(
        index=index, uuid=uuid, minor=index, model="NVIDIA H100 80GB HBM3", memory_bytes=80 << 30, compute=None,
        address=ADDRESSES[index], mig_capable=True, mig_enabled=migs is not None, mig_devices=migs or (),
    )  # fmt: skip


def make_inventory(version: str) -> Inventory:
    """A whole GPU, and a GPU with two MIG devices."""
    migs = (make_mig(0, MIGS[0], 2), make_mig(1, MIGS[1], 3))
    gpus = (make_gpu(0, WHOLE), make_gpu(1, CUT, migs))
    return Inventory(driver=Driver(version=version, cuda=CUDA), gpus=gpus)


def make_jetson() -> Inventory:
    """A GPU that only CUDA can discover."""
    gpu = replace(make_gpu(0, GpuUuid("tegra-0")), minor=None, model="Orin (nvgpu)", address=None)
    return Inventory(driver=Driver(version=UNKNOWN_VERSION, cuda=CUDA), gpus=(gpu,), platform=Platform.TEGRA)


def read_nodes(tree: Path) -> DeviceNodes:
    root = HostRoot(tree)
    return read_device_nodes(root, root, addresses=ADDRESSES, read=read_composed_node)


def with_platform(node: Node) -> Node:
    """WSL and Tegra have other device nodes, and the inventory contains the platform."""
    if node.driver.wsl:
        nodes = {"/dev/dxg": HostNode(major=10, minor=127, mode=0o666)}
        inventory = replace(node.inventory, platform=Platform.WSL)
    elif node.driver.tegra:
        nodes = {"/dev/nvmap": HostNode(major=10, minor=61, mode=0o660, gid=44)}
        inventory = make_jetson()
    else:
        return node
    return replace(node, inventory=inventory, nodes=DeviceNodes(nodes=nodes))


@pytest.fixture
def load_node(tmp_path: Path) -> LoadNode:
    """load_node(name, driver="/", nested=""): a fake driver root, which is the folder `driver` on the host."""

    def load(name: str, *, driver: str = "/", nested: str = "") -> Node:
        root = lay_out_tree(name, tmp_path / "driver-root")
        host = lay_out_tree("devices", tmp_path / "host")
        files = read_driver_files(root / nested, HostRoot(host))
        node = Node(
            root=root,
            inventory=make_inventory(files.version or "550.54.15"),
            driver=files,
            nodes=read_nodes(host),
            options=CdiOptions(roots=Roots(driver=driver, dev="/", driver_mount=Path("/driver-root"))),
        )
        return with_platform(node)

    return load
