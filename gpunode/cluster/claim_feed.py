"""Follows the ResourceSlices and the allocated ResourceClaims of the driver gpu.nvidia.com, from when a Node needs them.

The version of resource.k8s.io is read from the API server first, in a thread of its own.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gpu_core.pods.device_names import DRA_DRIVER
from gpu_core.pods.resource_slices import ResourceSlice
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.lists import Kind
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.resource_claims import GROUP, read_resource_version
from node_core.kube.resources import Obj

SLICES, CLAIMS = "resourceslices", "resourceclaims"
Follow = Callable[[Kind, Mapping[str, str], Callable[[Obj, int], Any]], None]


class ClaimFeed:
    """follow: starts an informer: kind, selector, parser. fail: called with each error before that; a status of 404 is the last.

    Both are called in the thread of the feed.
    """

    def __init__(self, api: ApiClient, follow: Follow, fail: Callable[[KubeError], None]) -> None:
        self._api, self._follow, self._fail = api, follow, fail
        self._backoff = Backoff()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claims", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                version = read_resource_version(self._api)
            except KubeError as error:
                failures += 1
                self._fail(error)
                if error.status == 404:
                    return
                self._stopping.wait(self._backoff.delay(failures, random.random()))  # nosec B311 # jitter
                continue
            self._follow(_kind(version, SLICES), {"fieldSelector": f"spec.driver={DRA_DRIVER}"}, parse_slice)
            self._follow(_kind(version, CLAIMS), {}, parse_claim)
            return


def parse_slice(obj: Obj, _: int) -> ResourceSlice:
    return msgspec.convert(obj, ResourceSlice)


def parse_claim(obj: Obj, _: int) -> ResourceClaim | None:
    """Returns None for a claim without devices of the driver."""
    claim = msgspec.convert(obj, ResourceClaim)
    return claim if claim.devices_of(DRA_DRIVER) else None


def _kind(version: str, plural: str) -> Kind:
    return Kind(path=f"{GROUP}/{version}/{plural}", name=plural)
