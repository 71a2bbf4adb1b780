"""Connects the checks with NVML, the files of the host, the kubelet and the container runtime."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gpu_core.assembly import Dependencies
from gpu_core.cdi.roots import Roots
from gpu_core.discovery.cuda import LIBRARY as CUDA
from gpu_core.discovery.node_facts import CONTROL, error_facts, read_facts
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.host.device_nodes import DeviceNodes, read_device_nodes
from gpu_core.host.driver_root import find_loadable
from gpu_core.nvml.driver_version import DriverVersions, read_driver_versions
from gpu_core.nvml.releasable import ReleasableNvml
from gpu_core.pods.resource_slices import ResourceSlice
from gpu_validator.cdi import read_specs
from gpu_validator.container import CONTAINER_LOCK, SECONDS, ContainerCheck
from gpu_validator.cuda import KernelCheck, KernelRunner
from gpu_validator.device_nodes import read_majors
from gpu_validator.driver import DriverFacts
from gpu_validator.files import DriverPlace
from gpu_validator.host_paths import HostPaths, Mount
from gpu_validator.inputs import InputReader, Inputs
from gpu_validator.kubelet import KubeletFacts, NodeState
from gpu_validator.sandbox import ContainerEnd, ContainerRun, Runtime, find_socket
from gpu_validator.settings import CDI_FOLDER, STATIC_CDI_FOLDER, ValidatorSettings
from gpu_validator.validation import Sources, Validator
from node_core.decode import describe_os_error
from node_core.domain.cdi_support import find_cdi_obstacle
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError, KubeletError, NodeError
from node_core.host.flock import is_locked, open_locked
from node_core.host.pci import read_pci
from node_core.host.root import HostRoot
from node_core.kube.node_feature import find_pod_namespace
from node_core.kubelet.allocations import read_node_resources
from node_core.kubelet.podresources import list_pod_devices
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.services import Services

MODULE_DRIVER = "nvidia"
"""The name of the kernel driver in sysfs."""
LOCK_POLL_SECONDS = 0.2
NO_RUNTIME = "the container runtime has no socket at its default paths"


class Host:
    """Reads the facts of this node. settings, dependencies: of the agent."""

    def __init__(self, settings: ValidatorSettings, dependencies: Dependencies) -> None:
        self._settings, self._dependencies = settings, dependencies
        self._had_claims = False

    @property
    def dev(self) -> HostRoot:
        """The root that contains the /dev with the nodes of the GPUs."""
        return HostRoot(self._roots.dev_mount)

    @property
    def place(self) -> DriverPlace:
        roots = self._roots
        return DriverPlace(driver=roots.own, dev=roots.dev)

    @property
    def paths(self) -> HostPaths:
        """The nodes of the host are at their own place, because /dev below the root of the host is the same folder."""
        driver, root = self._settings.driver_root, self._dependencies.root
        mounts = [Mount(host="/dev", here=root.path("/dev")), Mount(host=driver, here=self._dependencies.driver_root)]
        if root.base == Path("/"):
            mounts.append(Mount(host="/", here=root.base))
        return HostPaths(mounts=tuple(mounts))

    @property
    def cdi_folders(self) -> tuple[Path, ...]:
        """The folder of people precedes, because the devices of the other one take precedence."""
        own = self._settings.cdi_folder
        return (STATIC_CDI_FOLDER, own) if own == CDI_FOLDER else (own,)

    @property
    def input_reader(self) -> InputReader:
        return InputReader(
            host=self._dependencies.root,
            dev=self.dev,
            driver_root=self._dependencies.driver_root,
            library_dirs=self._dependencies.library_dirs,
            cdi_folders=self.cdi_folders,
            kubelet=self._settings.device_plugin_folder / "kubelet.sock",
        )

    def read_inputs(self, node: NodeState) -> Inputs:
        """Returns what a validation depends on. The first claim of a pod is a change, and further ones are none."""
        is_released = self._dependencies.nvml_release.is_released
        inputs = self.input_reader.read(node, is_released=is_released, had_claims=self._had_claims)
        self._had_claims = inputs.has_claims
        return inputs

    def read_driver(self) -> DriverFacts:
        """Problems are in the result."""
        self._dependencies.inventory.invalidate()
        inventory, error = None, None
        try:
            inventory = self._dependencies.inventory.discover()
        except NodeError as failure:
            error = failure
        return DriverFacts(
            inventory=inventory, facts=self._read_facts(error), versions=self._read_versions(), bound=self._read_bound()
        )

    def read_nodes(self) -> tuple[DeviceNodes, dict[str, int]]:
        """Raises HostReadError."""
        return read_device_nodes(self.dev, self._dependencies.root), read_majors(self._dependencies.root)

    def has_dra_driver(self) -> bool:
        """Returns whether gpu-dra-driver has its lock, which the agents of a node share."""
        folder = self._dependencies.common.lock_dir or DEFAULT_DIRECTORY
        try:
            return any(map(is_locked, folder.glob(f"{DRA_DRIVER_AGENT}.*.lock")))
        except OSError:
            return False

    def why_no_cdi(self, node: NodeState, inventory: Inventory) -> str | None:
        lists = self._settings.device_lists
        if lists != ("auto",):
            return (
                None if any(each.startswith("cdi-") for each in lists) else f"pods get their GPUs by {', '.join(lists)}"
            )
        if inventory.simulated:
            return "simulated GPUs have no CDI specification"
        return find_cdi_obstacle(node.kubelet, node.runtime) if node.kubelet else None

    def read_kubelet(self, node: NodeState) -> KubeletFacts:
        path = self._settings.podresources_socket
        if not may_have_kubelet(path):
            return KubeletFacts(has_kubelet=False)
        try:
            devices = read_node_resources(path).allocatable.devices
        except KubeletError as error:
            return KubeletFacts(error=str(error), has_dra_driver=self.has_dra_driver())
        return KubeletFacts(devices=devices, allocatable=node.allocatable, has_dra_driver=self.has_dra_driver())

    def find_driver(self) -> tuple[str, str | None]:
        """Returns libcuda.so.1, and the driver root if its device nodes are missing in this container; then the path is below the root.

        Returns the bare name of a library that only the dynamic linker may find.
        """
        root = self._roots.own_mount
        library = next(self._find_cuda(), CUDA)
        is_below = Path(library).is_relative_to(root) and (root / CONTROL.lstrip("/")).exists()
        if Path(CONTROL).exists() or not is_below:
            return library, None
        return f"/{Path(library).relative_to(root)}", str(root)

    def find_image(self) -> str | None:
        """Raises KubeletError."""
        if self._settings.image is not None:
            return self._settings.image
        namespace = find_pod_namespace()
        return None if namespace is None else self._runtime().find_image(namespace, socket.gethostname())

    def run_container(self, container: ContainerRun) -> ContainerEnd:
        """Raises KubeletError. `gpunode validate` and the agent take turns: each one removes every sandbox with their labels."""
        with self._alone():
            return self._runtime().run(container, seconds=SECONDS)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        path = (self._dependencies.common.lock_dir or DEFAULT_DIRECTORY) / CONTAINER_LOCK
        end = time.monotonic() + SECONDS
        try:
            while (descriptor := open_locked(path, fcntl.LOCK_EX)) is None:
                if time.monotonic() >= end:
                    raise KubeletError("another validation of this node runs its container", hint="try again later")
                time.sleep(LOCK_POLL_SECONDS)
        except OSError as error:
            raise KubeletError(f"{path} {describe_os_error(error)}", hint="run the command as root") from error
        try:
            yield
        finally:
            os.close(descriptor)

    @property
    def _roots(self) -> Roots:
        return self._dependencies.roots(self._settings.driver_root, self._settings.dev_root)

    def _find_cuda(self) -> Iterator[str]:
        """Yields libraries, the one of the loaded driver first."""
        loaded, dirs = self._dependencies.loaded_driver, self._dependencies.library_dirs
        for name in (*((CUDA.removesuffix("1") + loaded,) if loaded else ()), CUDA):
            yield from find_loadable(self._dependencies.driver_root, name, dirs)

    def _runtime(self) -> Runtime:
        path = self._settings.runtime_socket or find_socket()
        if path is None:
            raise KubeletError(NO_RUNTIME, hint="set --runtime-socket")
        return Runtime(socket=path)

    def _read_facts(self, error: NodeError | None) -> NodeFacts:
        if (simulated := self._dependencies.simulated) is not None:
            facts = error_facts(error, has_gpus=simulated.has_gpus)
            return NodeFacts(has_gpus=facts.has_gpus, code=facts.code, error=facts.error, is_simulated=True)
        return read_facts(self._dependencies.root, self.dev, error)

    def _read_versions(self) -> DriverVersions:
        if self._dependencies.simulated is None:
            try:
                return read_driver_versions(
                    self._dependencies.root, self._dependencies.driver_root, self._dependencies.library_dirs
                )
            except HostReadError:
                pass
        return DriverVersions(module=None, library=None)

    def _read_bound(self) -> frozenset[PciAddress]:
        """Returns the GPUs that the driver has, without virtual functions; empty if the bus cannot be read."""
        if self._dependencies.simulated is not None:
            return frozenset()
        try:
            functions = read_pci(self._dependencies.root).functions
        except HostReadError:
            return frozenset()
        return frozenset(
            each.address for each in functions if each.is_nvidia_gpu and each.driver == MODULE_DRIVER and not each.is_vf
        )


DRA_DRIVER_AGENT = "gpu-dra-driver"
"""The name of the agent, as in its lock."""


def may_have_kubelet(socket: Path) -> bool:
    """Returns True also without the right to search the folder: then the error of the call states that."""
    try:
        return socket.parent.exists()
    except OSError:
        return True


def build_validator(
    settings: ValidatorSettings,
    dependencies: Dependencies,
    services: Services,
    host: Host,
    *,
    read_slices: Callable[[], tuple[ResourceSlice, ...]] | None = None,
) -> Validator:
    """read_slices: see Sources."""
    pods, nvml = settings.podresources_socket, ReleasableNvml(dependencies.nvml)
    dependencies.nvml_release.add(nvml)
    sources = Sources(
        read_driver=host.read_driver,
        read_nodes=host.read_nodes,
        read_specs=lambda: read_specs(host.cdi_folders),
        find_node=host.paths.examine,
        why_no_cdi=host.why_no_cdi,
        read_kubelet=host.read_kubelet,
        read_slices=read_slices,
    )
    kernels = KernelCheck(
        open_nvml=nvml.open,
        list_pods=partial(list_pod_devices, pods) if may_have_kubelet(pods) else None,
        find_driver=host.find_driver,
        run=KernelRunner().run,
        clock=services.clock,
    )
    python = sys.executable if settings.image is None else "python3"
    container = ContainerCheck(find_image=host.find_image, run=host.run_container, python=python)
    return Validator(sources=sources, kernels=kernels, container=container, omitted=settings.skipped)
