"""The settings of gpu-driver-manager. The environment names are those of NVIDIA's k8s-driver-manager. Source: its README."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click

from driver_manager.evictor import EvictionPolicy
from driver_manager.plan import WantedDriver
from node_core.domain.duration import parse_duration
from node_core.runtime.command import ignored_option
from node_core.runtime.setting import build, make_option, setting, settings_of
from node_core.runtime.settings import CommonSettings
from node_core.values import replace

NAME = "gpu-driver-manager"
HOST = Path("/host")
SHARED = ("node_name", "kubeconfig", "host_root", "log_format", "log_level", "lock_dir")


def _parse_timeout(text: str) -> float:
    """Parses a duration. Zero means as long as it takes, as in kubectl drain. Raises ValueError."""
    return math.inf if text in ("0", "0s") else parse_duration(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSettings:
    """timeout: seconds."""

    HEADING: ClassVar = "Driver and pods"

    digest: str = setting(
        "--driver-config-digest DRIVER_CONFIG_DIGEST",
        "",
        "Digest of the configuration of the driver container. If the last driver container has recorded the same digest, and its modules"
        " are loaded, the driver stays loaded and workloads continue. Empty: a loaded driver is always replaced.",
    )
    version: str = setting(
        "--driver-version DRIVER_VERSION",
        "",
        "Version or branch of the driver of the driver container. A loaded driver with another version is replaced, also with an equal"
        " digest. Empty: the digest decides.",
    )
    force_reinstall: bool = setting(
        "--force-reinstall FORCE_REINSTALL", False, "Replace also a driver that is equal to the wanted one."
    )
    evicts_gpu_pods: bool = setting(
        "--enable-gpu-pod-eviction ENABLE_GPU_POD_EVICTION",
        True,
        "Before modules are unloaded, cordon the Node and evict the pods with resources of NVIDIA or ResourceClaims of GPUs.",
    )
    drains: bool = setting(
        "--enable-auto-drain ENABLE_AUTO_DRAIN",
        False,
        "If a pod with a GPU does not end, or a module is still in use, evict all pods of the node.",
    )
    force: bool = setting("--drain-use-force DRAIN_USE_FORCE", False, "Evict also pods that no controller replaces.")
    selector: str = setting(
        "--drain-pod-selector-label DRAIN_POD_SELECTOR_LABEL",
        "",
        "Label selector of the pods that --enable-auto-drain evicts. Empty: all pods.",
    )
    timeout: float = setting(
        "--drain-timeout-seconds DRAIN_TIMEOUT_SECONDS",
        math.inf,
        "How long to wait until evicted pods have ended. 0s: as long as it takes.",
        parse=_parse_timeout,
        metavar="DURATION",
        shown="0s",
    )
    deletes_local_data: bool = setting(
        "--drain-delete-emptydir-data DRAIN_DELETE_EMPTYDIR_DATA", False, "Evict also pods with emptyDir volumes."
    )

    @property
    def wanted(self) -> WantedDriver:
        return WantedDriver(digest=self.digest, version=self.version, is_forced=self.force_reinstall)

    @property
    def policy(self) -> EvictionPolicy:
        return EvictionPolicy(
            force=self.force,
            deletes_local_data=self.deletes_local_data,
            seconds=self.timeout,
            selector=self.selector,
        )


def _shared_options() -> Iterator[click.Option]:
    """The options of every agent that matter here. A driver pod mounts the root of the host at /host."""
    for each in settings_of(CommonSettings):
        if each.name in SHARED:
            yield make_option(replace(each, default=HOST) if each.name == "host_root" else each, "DRIVER_MANAGER")


DRIVER: tuple[type | click.Option, ...] = (
    DriverSettings,
    *_shared_options(),
    ignored_option("--operator-namespace", "OPERATOR_NAMESPACE", "pods are found by the labels of the Node"),
    ignored_option(
        "--node-label-for-gpu-pod-eviction",
        "NODE_LABEL_FOR_GPU_POD_EVICTION",
        "DaemonSets of others use the label nvidia.com/gpu.deploy.client",
    ),
    ignored_option(
        "--gpu-direct-rdma-enabled", "GPU_DIRECT_RDMA_ENABLED", "the driver container waits for the network driver"
    ),
    ignored_option("--use-host-mofed", "USE_HOST_MOFED", "see --gpu-direct-rdma-enabled"),
)


def driver_settings(values: Mapping[str, Any]) -> DriverSettings:
    return build(DriverSettings, values)
