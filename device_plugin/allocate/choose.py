"""`auto`: the device list strategy that the Node's kubelet and container runtime can act on. PURE.

The kubelet passes a plugin's CDI devices on since 1.29 (feature gate DevicePluginCDIDevices, beta and on by default then; 1.28 has it
off). containerd injects them by default since 2.0 (before that only with `enable_cdi`, which a Node does not say), CRI-O since 1.28.
Everything else gets the environment variable, which needs NVIDIA's container runtime. Source: Kubernetes documentation, feature gates;
documentation of containerd and CRI-O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from device_plugin.allocate.strategies import DeviceList

Version = tuple[int, int]
KUBELET: Version = (1, 29)
RUNTIMES: Mapping[str, Version] = {"containerd": (2, 0), "cri-o": (1, 28)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """why: a sentence for people."""

    device_list: DeviceList
    why: str


def choose_device_list(*, kubelet: str, runtime: str, no_specs: str | None) -> Choice:
    """kubelet: nodeInfo.kubeletVersion, `v1.31.2-gke.1`. runtime: nodeInfo.containerRuntimeVersion, `containerd://2.0.1`.

    no_specs: why there are no CDI specifications to refer to, or None.
    """
    why = _obstacle(kubelet, runtime) or no_specs
    if why is None:
        return Choice(device_list="cdi-cri", why=f"kubelet {kubelet} and {runtime} inject CDI devices")
    return Choice(device_list="envvar", why=f"{why}; NVIDIA's container runtime has to read NVIDIA_VISIBLE_DEVICES")


def _obstacle(kubelet: str, runtime: str) -> str | None:
    name, _, version = runtime.partition("://")
    least = RUNTIMES.get(name)
    if not _at_least(kubelet, KUBELET):
        return f"kubelet {kubelet or 'of unknown version'} does not pass CDI devices on before {_shown(KUBELET)}"
    if least is None:
        return f"container runtime {runtime or 'of unknown name'} is not known to inject CDI devices"
    if not _at_least(version, least):
        return f"{runtime} does not inject CDI devices by default before {_shown(least)}"
    return None


def _at_least(text: str, least: Version) -> bool:
    parsed = re.match(r"v?(\d+)\.(\d+)", text)
    return parsed is not None and (int(parsed[1]), int(parsed[2])) >= least


def _shown(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
