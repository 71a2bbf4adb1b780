"""Runs the checks in their order. A check whose requirement failed is skipped."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from gpu_core.domain.inventory import Inventory
from gpu_core.host.device_nodes import DeviceNodes
from gpu_core.pods.resource_slices import ResourceSlice
from gpu_validator.cdi import CLAIM_KIND, CdiDevices, FindNode, SpecFile, check_cdi, select_devices
from gpu_validator.check import Check, Name, Report, Verdict, failed, not_applicable, skipped
from gpu_validator.container import ContainerCheck
from gpu_validator.cuda import KernelCheck
from gpu_validator.device_nodes import check_device_nodes
from gpu_validator.driver import DriverFacts, check_driver
from gpu_validator.kubelet import BY_CLAIMS, KubeletFacts, NodeState, check_kubelet
from gpu_validator.slices import check_slices
from node_core.errors import NodeError

NEEDS: Mapping[Name, tuple[Name, ...]] = {
    Name.DRIVER: (),
    Name.DEVICE_NODES: (Name.DRIVER,),
    Name.CDI: (Name.DRIVER,),
    Name.CUDA: (Name.DRIVER, Name.DEVICE_NODES),
    Name.KUBELET: (Name.DRIVER,),
    Name.SLICES: (Name.DRIVER,),
    Name.CONTAINER: (Name.CDI, Name.KUBELET, Name.SLICES),
}
"""The checks that must not fail before each check."""
RETRY = "read the log of gpu-validator; the check runs again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Reads the facts of the node. Each one may raise NodeError. why_no_cdi: why pods get their GPUs without CDI, or None.

    read_slices: the ResourceSlices of the node; None without access to the API server.
    """

    read_driver: Callable[[], DriverFacts]
    read_nodes: Callable[[], tuple[DeviceNodes, Mapping[str, int]]]
    read_specs: Callable[[], tuple[SpecFile, ...]]
    find_node: FindNode
    why_no_cdi: Callable[[NodeState, Inventory], str | None]
    read_kubelet: Callable[[NodeState], KubeletFacts]
    read_slices: Callable[[], tuple[ResourceSlice, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """omitted: the checks that a person has switched off."""

    sources: Sources
    kernels: KernelCheck
    container: ContainerCheck
    omitted: Collection[Name] = ()

    def run(self, node: NodeState) -> Report:
        """Runs all checks. Never fails: an error is the result of its check."""
        driver = self.sources.read_driver()
        if not driver.has_gpus:
            return Report(has_gpus=False)
        run = _Run(self, node, driver.inventory or Inventory(driver=None))
        checks = tuple(run.result(name, driver) for name in Name)
        return Report(checks=checks, simulated=driver.facts.is_simulated)


class _Run:
    """One validation. Facts that several checks need are read once."""

    def __init__(self, validator: Validator, node: NodeState, inventory: Inventory) -> None:
        self._validator, self._sources = validator, validator.sources
        self._node, self._inventory = node, inventory
        self._kubelet = self._sources.read_kubelet(node)
        self._specs: tuple[SpecFile, ...] = ()
        self._results: dict[Name, Check] = {}

    def result(self, name: Name, driver: DriverFacts) -> Check:
        cause = self._find_cause(name)
        if name in self._validator.omitted:
            check = not_applicable(name, "switched off by --skip-checks")
        elif cause is not None:
            check = skipped(name, cause)
        else:
            try:
                check = check_driver(driver) if name is Name.DRIVER else self._check(name)
            except NodeError as error:
                check = failed(name, error.message, error.hint or RETRY)
        self._results[name] = check
        return check

    def _find_cause(self, name: Name) -> Name | None:
        """Returns the check that failed, because of which this one cannot run."""
        for needed in NEEDS[name]:
            if self._results[needed].verdict is Verdict.FAILED:
                return needed
            if (cause := self._find_cause(needed)) is not None:
                return cause
        return None

    def _check(self, name: Name) -> Check:
        sources, inventory = self._sources, self._inventory
        match name:
            case Name.DEVICE_NODES:
                return check_device_nodes(inventory, *sources.read_nodes())
            case Name.CDI:
                self._specs = sources.read_specs()
                why = BY_CLAIMS if self._has_claims else sources.why_no_cdi(self._node, inventory)
                return check_cdi(self._specs, inventory, self._ids, sources.find_node, why_not_needed=why)
            case Name.CUDA:
                return self._validator.kernels.check(inventory)
            case Name.KUBELET:
                return check_kubelet(self._kubelet, inventory)
            case Name.SLICES:
                return self._check_slices()
            case _:
                return self._check_container()

    def _check_slices(self) -> Check:
        if not self._kubelet.has_dra_driver:
            return not_applicable(Name.SLICES, "gpu-dra-driver does not run on this node")
        if self._ids:
            return not_applicable(Name.SLICES, "a device plugin has GPUs of this node")
        if self._sources.read_slices is None:
            return not_applicable(
                Name.SLICES, "gpu-validator checks the ResourceSlices; this command does not use the cluster"
            )
        return check_slices(self._sources.read_slices(), self._inventory)

    def _check_container(self) -> Check:
        devices = select_devices(self._specs)
        if devices is None and self._has_claims:
            return self._check_claim()
        return self._validator.container.check(self._inventory, devices, self._ids)

    def _check_claim(self) -> Check:
        """Uses a device of a claim that a pod has. The specification of the claim disappears with the pod, also during the check."""
        before = self._read_claimed()
        if before is None:
            return not_applicable(Name.CONTAINER, "no pod has a ResourceClaim of gpu-dra-driver at present")
        check = self._validator.container.check(self._inventory, before, self._ids)
        if check.verdict is Verdict.FAILED:
            after = self._read_claimed()
            if after is None or not before.edits.keys() <= after.edits.keys():
                return not_applicable(Name.CONTAINER, "a ResourceClaim ended during the check")
        return check

    def _read_claimed(self) -> CdiDevices | None:
        return select_devices(self._sources.read_specs(), (CLAIM_KIND,))

    @property
    def _has_claims(self) -> bool:
        """Whether pods get the GPUs by ResourceClaims alone."""
        return self._kubelet.has_dra_driver and not self._ids

    @property
    def _ids(self) -> frozenset[str]:
        return self._kubelet.ids(self._inventory)
