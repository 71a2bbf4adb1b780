"""Which resource each device belongs to by its MIG strategy, before anybody's pools. PURE.

A GPU in MIG mode cannot be used as a whole, so it is never advertised as one. No layout is fatal: what is sound is served.
Source: NVIDIA device plugin's MIG strategies none, single and mixed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from device_plugin.devices import Device
from device_plugin.plan.options import MigStrategy
from node_core.domain.inventory import Gpu, Inventory
from node_core.domain.resources import GPU, ResourceName, ResourceNames, mig_resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """unsound: why a node with strategy `single` has no common resource at all; None where it has one."""

    strategy: MigStrategy
    names: ResourceNames
    unsound: str | None = None
    notes: tuple[str, ...] = ()

    def resource(self, device: Device) -> ResourceName | None:
        """None where the device is not advertised; `why_none` says why."""
        if self.unsound is not None:
            return None
        if device.gpu_instance is None:
            return self.names.of_gpu(device.model)
        if self.strategy == "none":
            return None
        usual = GPU if self.strategy == "single" else mig_resource(device.profile) if device.profile else None
        return self.names.of_mig(device.profile) or usual

    def why_none(self, device: Device) -> str:
        if self.unsound is not None:
            return self.unsound
        if self.strategy == "none":
            return "MIG devices are not advertised with MIG strategy none"
        return f"the profile of MIG device {device.index} has no known name"


def judge_layout(inventory: Inventory, strategy: MigStrategy, names: ResourceNames) -> Layout:
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    unsound = _why_unsound(inventory.gpus, enabled) if strategy == "single" and enabled else None
    notes = _none_notes(enabled) if strategy == "none" else _mixed_notes(enabled) if strategy == "mixed" else ()
    ending = f"{GPU} is not advertised with MIG strategy single"
    said = (f"{unsound}: {ending}.",) if unsound else ()
    return Layout(
        strategy=strategy, names=names, unsound=f"{unsound}: {ending}" if unsound else None, notes=(*said, *notes)
    )


def _why_unsound(gpus: Sequence[Gpu], enabled: Sequence[Gpu]) -> str | None:
    """One resource name can stand for one kind of device only. Checked in the order in which the GPU labels check it."""
    empty = [str(gpu.index) for gpu in enabled if not gpu.mig_devices and not gpu.mig_faults]
    profiles = {mig.profile for gpu in enabled for mig in gpu.mig_devices}
    if empty:
        return f"MIG is enabled but has no devices on GPU {', '.join(empty)}"
    if len(enabled) < len(gpus):
        return "MIG is enabled on some GPUs only"
    if None in profiles:
        return "The profile of a MIG device has no known name"
    if len(profiles) > 1:
        return f"The MIG devices are of {len(profiles)} kinds, {', '.join(sorted(filter(None, profiles)))}"
    return None


def _none_notes(enabled: Sequence[Gpu]) -> Iterator[str]:
    if enabled:
        which = ", ".join(str(gpu.index) for gpu in enabled)
        yield f"GPU {which}: in MIG mode and not advertised; set the MIG strategy to single or mixed, or MIG mode off."


def _mixed_notes(enabled: Sequence[Gpu]) -> Iterator[str]:
    for gpu in enabled:
        if not gpu.mig_devices and not gpu.mig_faults:
            yield f"GPU {gpu.index} has MIG enabled but no MIG devices: nothing of it is advertised."
