"""What the scheduler has allocated to a ResourceClaim on this node. PURE.

Source: Kubernetes API, ResourceClaim of resource.k8s.io (v1, v1beta2 and v1beta1 have the same status).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dra_driver.claims.config import DeviceConfig, decode_config
from dra_driver.claims.ref import ClaimRef
from dra_driver.names import DRIVER
from node_core.errors import ClaimError


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatedDevice:
    """request: of the claim; `gpu/large` for a subrequest. configs: for the request, see `select_config`."""

    request: str
    pool: str
    device: str
    is_admin: bool = False
    share_id: str | None = None
    configs: tuple[tuple[DeviceConfig, bool], ...] = ()


class _Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    request: str
    driver: str
    pool: str
    device: str
    admin_access: bool | None = None
    share_id: str | None = msgspec.field(name="shareID", default=None)


class _Opaque(msgspec.Struct, frozen=True, kw_only=True):
    driver: str
    parameters: Any = None


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    requests: tuple[str, ...] | None = None
    opaque: _Opaque | None = None


class _Devices(msgspec.Struct, frozen=True, kw_only=True):
    results: tuple[_Result, ...] | None = None
    config: tuple[_Config, ...] | None = None


class _Allocation(msgspec.Struct, frozen=True, kw_only=True):
    devices: _Devices | None = None


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    allocation: _Allocation | None = None


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    uid: str


class _Claim(msgspec.Struct, frozen=True, kw_only=True):
    metadata: _Metadata
    status: _Status | None = None


def parse_allocation(claim: Mapping[str, Any] | None, ref: ClaimRef, pool: str) -> tuple[AllocatedDevice, ...]:
    """Returns the devices of this driver and this pool. Raises ClaimError if the claim is another one, or has no such device.

    claim: the JSON of the claim; None if it does not exist.
    """
    allocation = _read_allocation(claim, ref)
    results = _results_of(allocation, pool)
    if not results:
        raise ClaimError(f"claim {ref} has no device of {DRIVER} in the pool {pool}")
    try:
        return tuple(_allocated(each, allocation) for each in results)
    except ClaimError as error:
        raise ClaimError(f"claim {ref}: {error.message}", hint=error.hint) from error


def holds(claim: Mapping[str, Any] | None, ref: ClaimRef, pool: str, devices: Iterable[str]) -> bool:
    """Whether the claim still exists with this UID, and all these devices of the pool are allocated to it.

    The devices of any other claim are free: also those of a claim that is allocated again, to other devices or on another node.
    """
    try:
        allocated = {each.device for each in _results_of(_read_allocation(claim, ref), pool)}
    except ClaimError:
        return False
    return bool(allocated) and allocated.issuperset(devices)


def _results_of(allocation: _Devices, pool: str) -> list[_Result]:
    return [each for each in (allocation.results or ()) if each.driver == DRIVER and each.pool == pool]


def _read_allocation(claim: Mapping[str, Any] | None, ref: ClaimRef) -> _Devices:
    if claim is None:
        raise ClaimError(f"claim {ref} does not exist")
    try:
        found = msgspec.convert(claim, type=_Claim)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # a text with half of a surrogate pair
        raise ClaimError(f"claim {ref} is not a ResourceClaim: {error}") from error
    if found.metadata.uid != ref.uid:
        raise ClaimError(f"claim {ref} has the UID {found.metadata.uid} in place of {ref.uid}: it was created again")
    allocation = found.status.allocation if found.status else None
    if allocation is None or allocation.devices is None:
        raise ClaimError(f"claim {ref} is not allocated")
    return allocation.devices


def _allocated(result: _Result, devices: _Devices) -> AllocatedDevice:
    return AllocatedDevice(
        request=result.request,
        pool=result.pool,
        device=result.device,
        is_admin=bool(result.admin_access),
        share_id=result.share_id,
        configs=tuple(_configs(result.request, devices)),
    )


def _configs(request: str, devices: _Devices) -> Iterator[tuple[DeviceConfig, bool]]:
    """Yields the configs of this driver for a request, those of the class first, and whether each names the request."""
    names = {request, request.partition("/")[0]}
    for each in devices.config or ():
        if each.opaque is not None and each.opaque.driver == DRIVER and (not each.requests or names & {*each.requests}):
            yield decode_config(each.opaque.parameters), bool(each.requests)
