"""Device list strategy `auto`: selects the strategy that the Node's kubelet and container runtime support. PURE.

node_core/domain/cdi_support.py has the versions that support CDI. All other nodes use the environment variable, which requires NVIDIA's
container runtime.
"""

import msgspec

from device_plugin.allocate.strategies import DeviceList
from node_core.domain.cdi_support import find_cdi_obstacle


class Choice(msgspec.Struct, frozen=True, kw_only=True):
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
