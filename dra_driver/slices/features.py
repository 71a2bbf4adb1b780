"""What the API server accepts in a ResourceSlice. Feature gates decide, so the driver asks the API server instead of comparing versions.

Source: Kubernetes API, resource.k8s.io; KEP-4815, partitionable devices; KEP-5055, device taints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dra_driver.names import DRIVER

GROUP = "resource.k8s.io"
PROBE = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFeatures:
    """version: of the API. has_counters: devices can share counters. has_own_counter_slices: a slice has either counters or devices.

    has_taints: devices can have taints.
    """

    version: str = "v1"
    has_counters: bool = True
    has_own_counter_slices: bool = True
    has_taints: bool = True


def render_probe(node_name: str, version: str, *, has_counters: bool) -> dict[str, Any]:
    """Renders a slice for a dry run: one device with a taint and, on request, with a counter in the same slice.

    An API server drops the fields whose feature gate is off. If counters need their own slice, the API server refuses the probe.
    """
    taint = {"key": f"{DRIVER}/{PROBE}", "value": PROBE, "effect": "NoSchedule"}
    amount = {PROBE: {"value": "1"}}
    consumes = {"consumesCounters": [{"counterSet": PROBE, "counters": amount}]} if has_counters else {}
    content = {"taints": [taint], **consumes}
    device = {"name": PROBE, "basic": content} if version == "v1beta1" else {"name": PROBE, **content}
    shared = {"sharedCounters": [{"name": PROBE, "counters": amount}]} if has_counters else {}
    pool = {"name": node_name, "generation": 1, "resourceSliceCount": 1}
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ResourceSlice",
        "metadata": {"generateName": "gpunode-probe-"},
        "spec": {"driver": DRIVER, "nodeName": node_name, "pool": pool, "devices": [device], **shared},
    }


def has_counters(response: Mapping[str, Any]) -> bool:
    """Whether the API server retained the counters of a probe."""
    return bool(response["spec"].get("sharedCounters"))


def has_taints(response: Mapping[str, Any]) -> bool:
    """Whether the API server retained the taint of a probe."""
    device = response["spec"]["devices"][0]
    return bool(device.get("basic", device).get("taints"))
