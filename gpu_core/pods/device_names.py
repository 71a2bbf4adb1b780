"""The names under which kubelet and drivers know the GPUs and MIG devices that NVML lists. PURE.

A name is known by the device that it names, and not by its resource: resources can be renamed.
Sources: k8s-device-plugin README (UUIDs, replicas); NVML API reference (MIG identifiers before driver 470); GKE documentation (nvidia0/gi1,
vgpu); documentation of NVIDIA's DRA driver (gpu-0, gpu-0-mig-1g10gb-19-0).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gpu_core.domain.inventory import Gpu

if TYPE_CHECKING:  # a driver's init container selects pods without the gRPC client
    from node_core.kubelet.podresources import ClaimedDevice

DRA_DRIVER = "gpu.nvidia.com"
_SHARE = re.compile(r"(?:::[0-9]{1,9}|/vgpu[0-9]{1,9})$")
"""The end of the id of a device that is shared: `::3` of NVIDIA's plugin, `/vgpu3` of GKE's plugin."""
_PROFILE_NUMBER = re.compile(r"-[0-9]{1,9}(?=-[0-9]{1,9}$)")
"""A part of the name of a MIG device in a ResourceSlice, `gpu-0-mig-1g10gb-19-2`: the number of the profile on the board."""
_COMPUTE_INSTANCE = re.compile(r"-c[0-9]{1,9}$")
"""The end of the name of a MIG device of gpu-dra-driver that shares its GPU instance: `gpu-0-mig-1c3g40gb-9-4-c1`."""


class DeviceKey(NamedTuple):
    """A GPU, or a GPU instance of a GPU in MIG mode. Two compute instances of one GPU instance have the same key."""

    gpu: str
    gpu_instance: int | None


class DeviceNames(msgspec.Struct, frozen=True, kw_only=True):
    """ids: ids of device plugins. claims: names in ResourceSlices of NVIDIA's DRA driver, without numbers of profiles."""

    ids: Mapping[str, DeviceKey] = msgspec.field(default_factory=dict)
    claims: Mapping[str, DeviceKey] = msgspec.field(default_factory=dict)

    def find(self, device_id: str) -> DeviceKey | None:
        """Returns the device of an id of a device plugin; None for any other text, such as the id of another kind of device."""
        return self.ids.get(_SHARE.sub("", device_id))

    def find_claimed(self, device: "ClaimedDevice") -> DeviceKey | None:
        """Returns the device of a ResourceClaim: by a UUID in its CDI names, or by NVIDIA's names in the ResourceSlice."""
        of_cdi = (self.find(name.partition("=")[2]) for name in device.cdi)
        found = next((key for key in of_cdi if key is not None), None)
        if found is not None or device.driver != DRA_DRIVER:
            return found
        name = _COMPUTE_INSTANCE.sub("", device.device)
        return self.claims.get(_PROFILE_NUMBER.sub("", name))


def name_devices(gpus: Iterable[Gpu]) -> DeviceNames:
    """Returns the names of all GPUs and MIG devices."""
    ids: dict[str, DeviceKey] = {}
    claims: dict[str, DeviceKey] = {}
    for gpu in gpus:
        ids |= dict(_ids(gpu))
        claims |= dict(_claims(gpu))
    return DeviceNames(ids=ids, claims=claims)


def _ids(gpu: Gpu) -> Iterator[tuple[str, DeviceKey]]:
    whole = DeviceKey(gpu.uuid, None)
    yield gpu.uuid, whole
    if gpu.minor is not None:
        yield f"nvidia{gpu.minor}", whole
    for mig in gpu.mig_devices:
        key = DeviceKey(gpu.uuid, mig.gpu_instance)
        yield mig.uuid, key
        yield f"MIG-{gpu.uuid}/{mig.gpu_instance}/{mig.compute_instance}", key
        if gpu.minor is not None:
            yield f"nvidia{gpu.minor}/gi{mig.gpu_instance}", key


def _claims(gpu: Gpu) -> Iterator[tuple[str, DeviceKey]]:
    if gpu.minor is None:
        return
    yield f"gpu-{gpu.minor}", DeviceKey(gpu.uuid, None)
    for mig in gpu.mig_devices:
        if mig.profile is not None and mig.start is not None:
            for profile in _profiles(mig.profile):
                yield f"gpu-{gpu.minor}-mig-{profile}-{mig.start}", DeviceKey(gpu.uuid, mig.gpu_instance)


def _profiles(name: str) -> tuple[str, str]:
    """The profile in the forms of a ResourceSlice, whose names have neither dots nor plus signs: `1g10gbme`, and our `1g10gb-me`."""
    return re.sub("[^a-z0-9]", "", name), name.replace(".", "").replace("+", "-")
