"""What the result of a validation depends on, read without NVML and without the kubelet. If it is equal, the checks need not run again."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gpu_core.host.bound import read_bound_addresses
from gpu_core.nvml.driver_version import MODULE, find_library_version, find_module_version
from gpu_validator.kubelet import NodeState
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.root import FileStamp, HostRoot

OF_CLAIMS = "k8s.gpu.nvidia.com-claim_"
"""The beginning of the names of the specifications that gpu-dra-driver writes for each claim. Only the first one starts a validation."""
Listing = tuple[tuple[str, FileStamp], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """driver: versions of the module and the library. nodes: names of device nodes. specs: files with CDI specifications.

    kubelet: the socket of the kubelet, which a new kubelet creates. release: the release requests. has_claims: a pod has a ResourceClaim of
    gpu-dra-driver, or had one earlier. node: of the Node object.
    """

    driver: tuple[str | None, str | None] = (None, None)
    module: FileStamp | None = None
    gpus: frozenset[PciAddress] = frozenset()
    nodes: tuple[str, ...] = ()
    specs: Listing = ()
    kubelet: FileStamp | None = None
    is_released: bool = False
    has_claims: bool = False
    node: NodeState = field(default_factory=NodeState)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReader:
    """host: with /proc and /sys. dev: with /dev. driver_root: where the driver root is mounted. kubelet: the socket of the kubelet."""

    host: HostRoot
    dev: HostRoot
    driver_root: Path
    library_dirs: tuple[str, ...]
    cdi_folders: tuple[Path, ...]
    kubelet: Path

    def read(self, node: NodeState, *, is_released: bool, had_claims: bool = False) -> Inputs:
        """Takes a few milliseconds, most of them for the search of the library. A part that cannot be read is missing.

        had_claims: the result for `has_claims` of an earlier call.
        """
        module = find_module_version(self.host)
        gpus: frozenset[PciAddress] = frozenset()
        with suppress(HostReadError):
            gpus = read_bound_addresses(self.host)
        return Inputs(
            driver=(module, find_library_version(self.driver_root, module, self.library_dirs)),
            module=self.host.stamp(MODULE),
            gpus=gpus,
            nodes=self._list_nodes(),
            specs=tuple(_list_files(self.cdi_folders)),
            kubelet=HostRoot().stamp(str(self.kubelet)),
            is_released=is_released,
            has_claims=had_claims or any(map(_has_claims, self.cdi_folders)),
            node=node,
        )

    def _list_nodes(self) -> tuple[str, ...]:
        names: list[str] = []
        for folder in ("/dev", "/dev/nvidia-caps"):
            with suppress(HostReadError):
                names += (f"{folder}/{each}" for each in self.dev.entries(folder) if each.startswith("nvidia"))
        return tuple(names)


def _has_claims(folder: Path) -> bool:
    with suppress(HostReadError):
        return any(name.startswith(OF_CLAIMS) for name in HostRoot(folder).entries("/"))
    return False


def _list_files(folders: Iterable[Path]) -> Iterable[tuple[str, FileStamp]]:
    for folder in folders:
        root = HostRoot(folder)
        with suppress(HostReadError):
            for name in root.entries("/"):
                if not name.startswith((".", OF_CLAIMS)) and (stamp := root.stamp(name)) is not None:
                    yield f"{folder}/{name}", stamp
