"""Whether gpu-dra-driver runs on this node, or should: by its lock, its files and the ResourceSlices of the Node. Light imports only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dra_driver.kubelet.plugin import PluginPaths, plugin_paths
from dra_driver.names import DRIVER
from gpu_core.pods.resource_slices import NamedSlice
from gpunode.cluster.lists import Kind, list_pages
from gpunode.doctor.agents import AgentState
from gpunode.doctor.dra.driver import DraDriver
from node_core.decode import describe_os_error
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.resource_claims import GROUP, read_resource_version
from node_core.kubelet.sockets import is_served


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSlices:
    """The slices of one Node and of the driver's name. version: of resource.k8s.io. problem: why the slices are unknown, or None."""

    slices: tuple[NamedSlice, ...] = ()
    version: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraNode:
    """What remains of the driver on this node, or runs. registrations: its sockets in the folder plugins_registry.

    values: of the running driver; None if unknown. has_claims_file: with a record of claims, or a damaged one. unread: why the files of the
    node cannot be read; None if they can.
    """

    name: str
    state: AgentState
    paths: PluginPaths
    cdi_folder: Path
    slices: NodeSlices
    values: Mapping[str, Any] | None = None
    registrations: tuple[Path, ...] = ()
    has_claims_file: bool = False
    unread: str | None = None

    @property
    def is_present(self) -> bool:
        return bool(self.state.is_running or self.registrations or self.has_claims_file or self.slices.slices)

    @property
    def is_in_use(self) -> bool:
        """Whether the GPUs of the node are those of the driver: it runs, or its slices are there."""
        return bool(self.state.is_running or self.slices.slices or any(map(is_served, self.registrations)))


def find_dra_node(driver: DraDriver, kubelet_root: Path, cdi_folder: Path, name: str, slices: NodeSlices) -> DraNode:
    """kubelet_root, cdi_folder: unless the driver runs, and its settings can be read. name: of the Node."""
    values = driver.values or {}
    paths = plugin_paths(values.get("kubelet_root", kubelet_root))
    unread = _find_unread(paths)
    return DraNode(
        name=name,
        state=driver.state,
        paths=paths,
        cdi_folder=values.get("cdi_dir", cdi_folder),
        slices=slices,
        values=driver.values,
        registrations=() if unread else tuple(sorted(paths.registry.glob(f"{DRIVER}*-reg.sock"))),
        has_claims_file=not unread and any(paths.data.glob(f"{paths.claims_file.stem}.[jd]*")),
        unread=unread,
    )


def _find_unread(paths: PluginPaths) -> str | None:
    """Returns why a folder cannot be read; None if both can, or do not exist."""
    for folder in (paths.registry, paths.data):
        try:
            next(folder.iterdir(), None)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"{folder} {describe_os_error(error)}. Run doctor as root, or in the pod of gpu-dra-driver"
    return None


def list_node_slices(api: ApiClient, node: str) -> NodeSlices:
    """Lists the slices of a Node. A failure is a problem of the result. A cluster without Dynamic Resource Allocation has none."""
    try:
        version = read_resource_version(api)
        kind = Kind(path=f"{GROUP}/{version}/resourceslices", name="resourceslices")
        query = {"fieldSelector": f"spec.driver={DRIVER},spec.nodeName={node}"}
        pages = list_pages(api, kind, NamedSlice, query)
        return NodeSlices(slices=tuple(each for page in pages for each in page), version=version)
    except KubeError as error:
        return NodeSlices(problem=str(error))
