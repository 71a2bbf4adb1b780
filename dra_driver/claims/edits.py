"""Selects the edits of containers that get the devices of a claim, from the CDI plan of the node. PURE."""

from collections.abc import Mapping

from gpu_core.cdi.kinds import CdiClass, kind
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import Edits, spec_file_name
from node_core.errors import ClaimError

SIMULATED = "GPUNODE_SIMULATED_DEVICE_"
"""The prefix of the environment variable that a container gets for each simulated GPU, which has no device nodes."""


def select_edits(plan: CdiPlan, uuids: tuple[str, ...], *, is_simulated: bool) -> tuple[Mapping[str, Edits], Edits]:
    """Returns the edits of the devices, by UUID, and those of every container. Raises ClaimError for a device without edits."""
    spec = plan.specs.get(spec_file_name(kind(CdiClass.GPU)))
    names = plan.names.get(CdiClass.GPU, {})
    by_name = {each.name: each.edits for each in spec.devices} if spec else {}
    found = {uuid: by_name[names[uuid]] for uuid in uuids if names.get(uuid) in by_name}
    for number, uuid in enumerate(uuids):
        if uuid not in found and is_simulated:
            found[uuid] = Edits(env=(f"{SIMULATED}{uuid.replace('-', '_').upper()}={uuid}",))
        elif uuid not in found:
            why = next((note for note in plan.notes if uuid in note), next(iter(plan.notes), ""))
            raise ClaimError(f"device {number} ({uuid}) cannot be given to containers: {why}".rstrip(": "))
    return found, spec.edits if spec else Edits()
