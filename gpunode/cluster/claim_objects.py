"""The fields of ResourceClaims that name devices and their users. PURE.

Source: Kubernetes API, resource.k8s.io v1, v1beta2 and v1beta1.
"""

from typing import Any

from node_core.scheduling.objects import ApiStruct, Metadata


class AllocatedDevice(ApiStruct, frozen=True):
    """admin_access: the claim observes a device that other claims hold, and does not allocate it."""

    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None


class DeviceAllocation(ApiStruct, frozen=True):
    results: tuple[AllocatedDevice, ...] = ()


class Allocation(ApiStruct, frozen=True):
    devices: DeviceAllocation = DeviceAllocation()


class Consumer(ApiStruct, frozen=True):
    """resource: the plural, `pods` for a Pod."""

    resource: str = ""
    name: str = ""


class ClaimStatus(ApiStruct, frozen=True):
    allocation: Allocation | None = None
    reserved_for: tuple[Consumer, ...] = ()


class DeviceRequirement(ApiStruct, frozen=True):
    """device_class_name: empty in the other forms of a request. count: 0 for one device. allocation_mode: `All` for all devices."""

    device_class_name: str = ""
    count: int = 0
    allocation_mode: str = ""
    admin_access: bool | None = None
    selectors: tuple[dict[str, Any], ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()


class DeviceRequest(DeviceRequirement, frozen=True):
    """exactly: since v1beta2; in v1beta1 its fields are those of the request. first_available: alternatives."""

    name: str = ""
    exactly: DeviceRequirement | None = None
    first_available: tuple[DeviceRequirement, ...] = ()

    @property
    def requirement(self) -> DeviceRequirement | None:
        """Returns None for a request with alternatives."""
        if self.first_available:
            return None
        return self if self.exactly is None else self.exactly


class DeviceClaim(ApiStruct, frozen=True):
    requests: tuple[DeviceRequest, ...] = ()


class ClaimSpec(ApiStruct, frozen=True):
    devices: DeviceClaim = DeviceClaim()


class ClassSpec(ApiStruct, frozen=True):
    """extended_resource_name: the extended resource that the scheduler serves with devices of the class; None for none."""

    extended_resource_name: str | None = None


class DeviceClass(ApiStruct, frozen=True):
    metadata: Metadata
    spec: ClassSpec = ClassSpec()


class ResourceClaim(ApiStruct, frozen=True):
    metadata: Metadata
    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def pods(self) -> tuple[str, ...]:
        """The names of the pods of its namespace that may use the claim."""
        return tuple(each.name for each in self.status.reserved_for if each.resource == "pods")

    def devices_of(self, driver: str) -> tuple[AllocatedDevice, ...]:
        """Returns the devices of a driver that are allocated to the claim."""
        allocation = self.status.allocation
        results = allocation.devices.results if allocation is not None else ()
        return tuple(each for each in results if each.driver == driver and not each.admin_access)
