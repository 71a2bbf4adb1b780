"""Maps each device to a resource by the MIG strategy, before devices are assigned to pools. PURE.

A GPU in MIG mode is never advertised as a whole GPU. An invalid layout does not stop the plugin: the other devices are advertised.
Source: NVIDIA device plugin's MIG strategies none, single and mixed.
"""

from collections.abc import Iterator, Sequence

import msgspec

from device_plugin.devices import Device
from device_plugin.plan.options import MigStrategy
from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import GPU, ResourceName, ResourceNames, mig_resource


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """problem: why strategy `single` cannot advertise this node's devices as one resource; None if it can."""

    strategy: MigStrategy
    names: ResourceNames
    problem: str | None = None
    notes: tuple[str, ...] = ()

    def resource(self, device: Device) -> ResourceName | None:
        """Returns the resource of a device; None if the device is not advertised, see `unadvertised_reason`."""
        if self.problem is not None:
            return None
        if device.gpu_instance is None:
            return self.names.name_for_gpu(device.model)
        if self.strategy == "none":
            return None
        usual = GPU if self.strategy == "single" else mig_resource(device.profile) if device.profile else None
        return self.names.name_for_mig(device.profile) or usual

    def unadvertised_reason(self, device: Device) -> tuple[Reason, str]:
        if self.problem is not None:
            return Reason.MIG_INVALID, self.problem
        if self.strategy == "none":
            return Reason.MIG_NOT_ADVERTISED, "the MIG strategy `none` does not advertise MIG devices"
        return Reason.MIG_INVALID, f"the profile of MIG device {device.index} is unknown"


def plan_layout(inventory: Inventory, strategy: MigStrategy, names: ResourceNames) -> Layout:
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    problem = _single_strategy_problem(inventory.gpus, enabled) if strategy == "single" and enabled else None
    return Layout(strategy=strategy, names=names, problem=problem, notes=tuple(_notes(enabled, strategy, problem)))


def _single_strategy_problem(gpus: Sequence[Gpu], enabled: Sequence[Gpu]) -> str | None:
    """A resource must not mix kinds of devices. The checks have the same order as those of the GPU labels."""
    empty = [gpu.name for gpu in enabled if not gpu.mig_devices and not gpu.mig_faults]
    profiles = {mig.profile for gpu in enabled for mig in gpu.mig_devices}
    reason = None
    if empty:
        reason = f"GPUs in MIG mode have no MIG devices: {', '.join(empty)}"
    elif len(enabled) < len(gpus):
        reason = "only some GPUs are in MIG mode"
    elif None in profiles:
        reason = "the profile of a MIG device is unknown"
    elif len(profiles) > 1:
        reason = f"the MIG devices have {len(profiles)} profiles, {', '.join(sorted(filter(None, profiles)))}"
    return reason and f"the MIG strategy `single` cannot advertise {GPU}: {reason}"


def _notes(enabled: Sequence[Gpu], strategy: MigStrategy, problem: str | None) -> Iterator[str]:
    if problem:
        yield f"{problem[:1].upper()}{problem[1:]}."
    if strategy == "none" and enabled:
        yield (
            f"GPUs in MIG mode are not advertised, because the MIG strategy is `none`: {', '.join(gpu.name for gpu in enabled)}."
            " Set --mig-strategy to single or mixed, or disable MIG mode."
        )
    if strategy == "mixed":
        for gpu in enabled:
            if not gpu.mig_devices and not gpu.mig_faults:
                yield f"{gpu.name} is in MIG mode but has no MIG devices, so nothing is advertised for it."
