"""The settings of gpu-dra-driver, in addition to those of every agent that discovers GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from dra_driver.kubelet.plugin import KUBELET_ROOT
from gpu_core.cdi.write import CDI_FOLDER
from node_core.runtime.setting import build, optional_text, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DraSettings:
    """pod_uid: distinguishes the sockets of two pods of one node during an update; empty outside of a pod."""

    HEADING: ClassVar = "Dynamic Resource Allocation"

    kubelet_root: Path = setting(
        "--kubelet-root DRA_KUBELET_ROOT",
        KUBELET_ROOT,
        "Root directory of the kubelet, with the folders plugins and plugins_registry. It has the same path in the driver's container.",
        fixed=True,
    )
    pod_uid: str = setting(
        "--pod-uid POD_UID",
        "",
        "UID of the driver's pod. With it the sockets of two pods have different names, so that an update leaves no gap.",
        fixed=True,
    )
    dynamic_mig: bool = setting(
        "--dra-dynamic-mig DRA_DYNAMIC_MIG",
        False,
        "Create MIG devices for claims and destroy them afterwards. All MIG instances of the node then belong to the driver: it destroys"
        " those that no claim holds. Needs partitionable devices, which Kubernetes 1.36 has by default.",
        fixed=True,
    )
    taint_effect: Literal["NoSchedule", "NoExecute"] = setting(
        "--dra-taint-effect DRA_TAINT_EFFECT",
        "NoSchedule",
        "Effect of the taints of devices that are not healthy. NoExecute also ends the pods that use them.",
    )
    claim_cdi_dir: Path = setting(
        "--cdi-dir CDI_DIR",
        CDI_FOLDER,
        "Folder in which the container runtime reads CDI specifications. The driver writes one specification for each claim.",
        fixed=True,
    )
    mps_root: str | None = setting(
        "--mps-root MPS_ROOT",
        None,
        "The folder of MPS on the host. The daemons of claims with MPS are in its folder dra. Required for claims with MPS.",
        parse=optional_text,
        fixed=True,
    )
    feature_gates: str = setting(
        "--feature-gates FEATURE_GATES",
        "",
        "Accepted for compatibility, for example TimeSlicingSettings=true,MPSSupport=true. Sharing needs no feature gate.",
    )
    driver_root: str = setting(
        "--driver-root --nvidia-driver-root NVIDIA_DRIVER_ROOT",
        "/",
        "The root folder of the driver on the host.",
        parse=lambda text: text or "/",
    )
    dev_root: str | None = setting(
        "--dev-root --nvidia-dev-root NVIDIA_DEV_ROOT",
        None,
        "The folder on the host whose subfolder dev contains the device nodes of the GPUs. Default: the driver root.",
        parse=optional_text,
    )
    hook_path: str | None = setting(
        "--nvidia-cdi-hook-path --nvidia-ctk-path NVIDIA_CDI_HOOK_PATH NVIDIA_CTK_PATH",
        None,
        "The hook program in CDI specifications, on the host. Default: /usr/bin/nvidia-ctk if this file exists.",
        parse=optional_text,
    )


DRA = (DraSettings,)
"""The settings classes of the command line."""


def dra_settings(values: Mapping[str, Any]) -> DraSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    return build(DraSettings, values)
