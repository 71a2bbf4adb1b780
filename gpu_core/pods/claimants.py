"""Finds the pods whose ResourceClaims have GPUs. Needs `get` on resourceclaims. Source: Kubernetes API, resource.k8s.io."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import structlog

from gpu_core.pods.device_names import DRA_DRIVER
from gpu_core.pods.eviction import DrainPod
from node_core.errors import KubeError
from node_core.kube.http import ApiClient, parse_response
from node_core.kube.resource_claims import ResourceClaimApi
from node_core.scheduling.objects import ApiStruct

log = structlog.get_logger(__name__)


class _Result(ApiStruct, frozen=True):
    driver: str = ""


class _Devices(ApiStruct, frozen=True):
    results: tuple[_Result, ...] | None = None


class _Allocation(ApiStruct, frozen=True):
    devices: _Devices = _Devices()


class _Status(ApiStruct, frozen=True):
    allocation: _Allocation | None = None


class _Claim(ApiStruct, frozen=True):
    status: _Status = _Status()


class ClaimantFinder:
    """Used by one thread, pass after pass: logs that claims cannot be read when that changes."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._is_refused = False

    def find(self, pods: Iterable[DrainPod]) -> frozenset[str]:
        """Returns `namespace/name` of the pods with a ResourceClaim that has a device of the driver gpu.nvidia.com.

        Sends requests only if a pod that can be evicted has claims. Without the right to read claims, each claim can have GPUs. Without
        resource.k8s.io no claim has any. Raises KubeError.
        """
        names = {pod.key: [(pod.metadata.namespace, name) for name in pod.claims] for pod in pods if pod.is_removable}
        every = {each for of_pod in names.values() for each in of_pod}
        claims = ResourceClaimApi(self._api)
        try:
            with_gpus = {claim for claim in every if _has_gpus(claims, *claim)}
        except KubeError as error:
            if error.status == 404:
                return frozenset()
            if error.status != 403:
                raise
            self._report_refused(error)
            with_gpus = every
        else:
            self._report_read(is_read=bool(every))
        return frozenset(key for key, of_pod in names.items() if not with_gpus.isdisjoint(of_pod))

    def _report_refused(self, error: KubeError) -> None:
        if not self._is_refused:
            effect = "each pod with ResourceClaims counts as a user of GPUs"
            log.warning("claims_not_read", why=error.message, effect=effect)
        self._is_refused = True

    def _report_read(self, *, is_read: bool) -> None:
        if is_read and self._is_refused:
            log.info("claims_read")
            self._is_refused = False


def parse_claim_drivers(claim: Mapping[str, Any]) -> frozenset[str]:
    """Returns the drivers of the devices that are allocated to a ResourceClaim. Raises ValueError. PURE."""
    allocation = msgspec.convert(claim, type=_Claim).status.allocation
    return frozenset(each.driver for each in (allocation and allocation.devices.results) or ())


def _has_gpus(claims: ResourceClaimApi, namespace: str, name: str) -> bool:
    claim = claims.get(namespace, name)
    return claim is not None and DRA_DRIVER in parse_response(parse_claim_drivers, claim)
