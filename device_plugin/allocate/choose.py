"""Device list strategy `auto`: selects the strategy that the Node's kubelet and container runtime support. PURE.

node_core/domain/cdi_support.py has the versions that support CDI. All other nodes use the environment variable, which requires NVIDIA's
container runtime.

A runtime that injects CDI devices may still refuse a specification: each one reads specifications up to the version that its CDI library
knows. Source: go.mod of containerd 1.7.0 to 2.2.0, CRI-O 1.26.0 to 1.34.0 and Moby; SPEC.md of the library, "Released versions".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from device_plugin.allocate.strategies import DeviceList
from node_core.domain.cdi_support import Version, find_cdi_obstacle, is_at_least

GROUPS: Mapping[str, Version] = {"containerd": (1, 7, 16), "cri-o": (1, 30), "docker": (27,)}
"""Runtimes that read version 0.7.0 of CDI specifications, which added the groups of device nodes. Earlier ones refuse the specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The selected strategy. why: the reason, as a sentence."""

    device_list: DeviceList
    why: str


def select_device_list(*, kubelet: str, runtime: str, no_specs_reason: str | None) -> Choice:
    """Selects `cdi-cri` if the node supports CDI devices, else `envvar`.

    kubelet: nodeInfo.kubeletVersion, `v1.31.2-gke.1`. runtime: nodeInfo.containerRuntimeVersion, `containerd://2.0.1`.
    no_specs_reason: why no CDI specification exists, or None.
    """
    reason = find_cdi_obstacle(kubelet, runtime) or no_specs_reason
    if reason is None:
        return Choice(device_list="cdi-cri", why=f"kubelet {kubelet} and {runtime} inject CDI devices")
    return Choice(device_list="envvar", why=f"{reason}; NVIDIA's container runtime must read NVIDIA_VISIBLE_DEVICES")


def groups_reason(runtime: str) -> str | None:
    """Returns why CDI specifications must not contain groups, or None. runtime: nodeInfo.containerRuntimeVersion, `containerd://2.0.1`."""
    name, _, version = runtime.partition("://")
    if name not in GROUPS:
        return f"container runtime {runtime or 'of unknown name'} is not known to read CDI 0.7.0"
    if not is_at_least(version, GROUPS[name]):
        return f"{runtime}: reading CDI 0.7.0 requires {'.'.join(map(str, GROUPS[name]))}"
    return None
