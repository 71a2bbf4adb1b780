"""Whether the kubelet and the container runtime of a Node inject CDI devices, by their versions. PURE.

The kubelet passes CDI devices to the runtime since 1.29 (feature gate DevicePluginCDIDevices, beta and on by default; off by default
in 1.28). containerd injects CDI devices by default since 2.0; earlier versions need `enable_cdi`, which the Node does not report. CRI-O
injects CDI devices since 1.28.
Source: Kubernetes documentation, feature gates; documentation of containerd and CRI-O.
"""

from collections.abc import Mapping

from node_core.domain.dotted_version import leading_numbers

Version = tuple[int, ...]
KUBELET: Version = (1, 29)
RUNTIMES: Mapping[str, Version] = {"containerd": (2, 0), "cri-o": (1, 28)}


def find_cdi_obstacle(kubelet: str, runtime: str) -> str | None:
    """Returns why the Node may not inject CDI devices, or None.

    kubelet: nodeInfo.kubeletVersion, `v1.31.2-gke.1`. runtime: nodeInfo.containerRuntimeVersion, `containerd://2.0.1`.
    """
    name, _, version = runtime.partition("://")
    minimum = RUNTIMES.get(name)
    if not is_at_least(kubelet, KUBELET):
        return f"kubelet {kubelet or 'of unknown version'}: passing CDI devices requires {KUBELET[0]}.{KUBELET[1]}"
    if minimum is None:
        return f"container runtime {runtime or 'of unknown name'} is not known to inject CDI devices"
    if not is_at_least(version, minimum):
        return f"{runtime}: injecting CDI devices by default requires {minimum[0]}.{minimum[1]}"
    return None


def is_at_least(text: str, minimum: Version) -> bool:
    """Returns whether a version is `minimum` or newer. A text without a version is not."""
    numbers = tuple(map(int, leading_numbers(text)))
    return bool(numbers) and (*numbers, 0, 0) >= minimum
