"""The settings of gfd and gpu-device-plugin that NVIDIA's config file contains (k8s-device-plugin README, "Configuration").

Both agents read the same file. Each agent accepts all keys of the file and uses its own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from gpu_core.discovery.strategy import Strategy
from node_core.runtime.setting import optional_text, setting
from node_core.runtime.settings import CommonSettings

DRIVER_MOUNT = Path("/driver-root")
"""Where manifests mount the driver root in containers."""
Policy = Literal["distributed", "packed"]
GFD_NAMES: Mapping[str, Any] = {"fail_on_init_error": {"env": ("GFD_FAIL_ON_INIT_ERROR", "FAIL_ON_INIT_ERROR")}}
"""Different environment names in programs with gfd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSettings(CommonSettings):
    """The settings of every agent that discovers GPUs. driver_root: where the driver root is mounted. library_dirs: below the driver root.

    discovery: only gfd supports vfio, because containers cannot use GPUs that are passed through to virtual machines.
    """

    HEADING: ClassVar = "Discovery of GPUs"

    driver_root: Path = setting(
        "--driver-root-ctr-path --container-driver-root DRIVER_ROOT_CTR_PATH CONTAINER_DRIVER_ROOT flags.plugin.containerDriverRoot",
        DRIVER_MOUNT,
        "The path at which the driver root is mounted for the agent. The agent searches libnvidia-ml there first. Outside of a pod, if the "
        "default does not exist: the driver root itself.",
        fixed=True,
    )
    library_dirs: tuple[str, ...] = setting(
        "--driver-library-dirs DRIVER_LIBRARY_DIRS",
        (),
        "Additional folders of the driver's libraries, below the driver root, searched first: for example /opt/vendor/nvidia/lib. "
        "Programs are searched there, and in the folders bin next to them.",
        fixed=True,
    )
    discovery: Strategy = setting(
        "--device-discovery-strategy DEVICE_DISCOVERY_STRATEGY flags.deviceDiscoveryStrategy",
        "auto",
        "How GPUs are discovered. nvml: through NVML. tegra: through CUDA, for an SoC without NVML. vfio (gfd only): on the PCI bus, "
        "GPUs that are passed through to virtual machines. auto: tegra on a Tegra without libnvidia-ml, otherwise nvml.",
        choices=("auto", "nvml", "tegra"),
        fixed=True,
    )
    fail_on_init_error: bool = setting(
        "--fail-on-init-error FAIL_ON_INIT_ERROR",
        True,
        "Accepted for compatibility. The agents never exit because of the state of the node.",
    )


def driver_mount(
    values: Mapping[str, Any], *, environment: Mapping[str, str] = os.environ, default: Path = DRIVER_MOUNT
) -> Path:
    """Returns where the driver root is mounted, from the values of a command line.

    On a host the default, a path in containers, does not exist. There the driver root is at its own path. In a pod the default remains,
    because the root of the container is not the root of the host.
    """
    mount: Path = values["driver_root_ctr_path"]
    if mount != default or mount.is_dir() or "KUBERNETES_SERVICE_HOST" in environment:
        return mount
    return Path(values["host_root"], values.get("driver_root", "/").lstrip("/"))


_MIG_HELP = (
    "How MIG devices are advertised. auto (gpu-device-plugin only): use the Node's label nvidia.com/mig.strategy."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GfdFlags:
    """The settings of gfd only in NVIDIA's file."""

    HEADING: ClassVar = "Labels"

    mig_strategy: Literal["none", "single", "mixed"] = setting(
        "--mig-strategy GFD_MIG_STRATEGY MIG_STRATEGY flags.migStrategy", "none", _MIG_HELP
    )
    timestamp: bool = setting(
        "--no-timestamp GFD_NO_TIMESTAMP flags.gfd.noTimestamp",
        True,
        "Do not publish the label nvidia.com/gfd.timestamp.",
        negated=True,
    )
    machine_type_file: str = setting(
        "--machine-type-file GFD_MACHINE_TYPE_FILE flags.gfd.machineTypeFile",
        "/sys/class/dmi/id/product_name",
        "The file on the host that contains the machine type.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFlags:
    """The upstream flags for the destination of gfd's labels. namespace: of the NodeFeature object; None for the pod's namespace."""

    HEADING: ClassVar = "Destination of the labels"

    use_node_feature_api: bool | None = setting(
        "--use-node-feature-api GFD_USE_NODE_FEATURE_API USE_NODE_FEATURE_API flags.useNodeFeatureAPI",
        None,
        "Upstream flag. true: same as --publish node-feature. false: same as --publish file, or stdout if --output-file is empty.",
        fixed=True,
    )
    namespace: str | None = setting(
        "--namespace NAMESPACE", None, "The namespace of the NodeFeature object. Default: the namespace of the pod."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSettings:
    """annotation_prefix: of the annotation's key. hook_path: of nvidia-ctk or nvidia-cdi-hook on the host; None if not set.

    feature_flags, disabled_hooks: names from NVIDIA's CDI generator; `all` disables every hook.
    """

    HEADING: ClassVar = "CDI specifications"

    annotation_prefix: str = setting(
        "--cdi-annotation-prefix CDI_ANNOTATION_PREFIX flags.plugin.cdiAnnotationPrefix",
        "cdi.k8s.io/",
        "The prefix of the pod annotation key with --device-list-strategy=cdi-annotations.",
    )
    hook_path: str | None = setting(
        "--nvidia-cdi-hook-path --nvidia-ctk-path NVIDIA_CDI_HOOK_PATH NVIDIA_CTK_PATH flags.plugin.nvidiaCTKPath",
        None,
        "The hook program in CDI specs, on the host. Default: /usr/bin/nvidia-ctk if this file exists.",
        parse=optional_text,
    )
    feature_flags: frozenset[str] = setting(
        "--cdi-feature-flags CDI_FEATURE_FLAGS",
        frozenset(),
        "NVIDIA's feature flags for CDI specs: disable-ipc-discoverer, enable-explicit-driver-libraries, "
        "no-additional-gids-for-device-nodes. A log line reports flags that have no effect.",
    )
    disabled_hooks: frozenset[str] = setting(
        "--cdi-disable-hooks CDI_DISABLE_HOOKS", frozenset(), "The hooks to omit from CDI specs, or all."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """How the kubelet and the container runtime give devices to containers.

    device_lists: strategies. `auto` cannot be combined; it depends on the Node's kubelet and runtime. driver_root, dev_root, mps_root: on
    the host; dev_root None for the driver root, mps_root None without MPS. driver_root_mount: where the driver root is mounted.
    library_dirs: see GpuSettings. imex_required: GPUs are unhealthy without the channels.
    """

    HEADING: ClassVar = "Devices in containers"

    device_lists: tuple[Literal["auto", "envvar", "volume-mounts", "cdi-annotations", "cdi-cri"], ...] = setting(
        "--device-list-strategy DEVICE_LIST_STRATEGY flags.plugin.deviceListStrategy",
        ("auto",),
        "How containers receive the list of their GPUs. auto: by CDI if the kubelet and the container runtime support CDI, otherwise by "
        "an environment variable.",
        in_file=str | list[str],
    )
    id_strategy: Literal["uuid", "index"] = setting(
        "--device-id-strategy DEVICE_ID_STRATEGY flags.plugin.deviceIDStrategy",
        "uuid",
        "The identifiers of GPUs in the list that containers receive.",
    )
    pass_device_specs: bool = setting(
        "--pass-device-specs PASS_DEVICE_SPECS flags.plugin.passDeviceSpecs",
        False,
        "Also pass the device nodes to the kubelet, which the CPU manager requires.",
    )
    driver_root: str = setting(
        "--driver-root --nvidia-driver-root NVIDIA_DRIVER_ROOT flags.nvidiaDriverRoot",
        "/",
        "The root folder of the driver on the host.",
        parse=lambda text: text or "/",
    )
    dev_root: str | None = setting(
        "--dev-root --nvidia-dev-root NVIDIA_DEV_ROOT flags.nvidiaDevRoot",
        None,
        "The folder on the host whose subfolder dev contains the device nodes of the GPUs. Default: the driver root.",
        parse=optional_text,
    )
    driver_root_mount: Path = DRIVER_MOUNT
    library_dirs: tuple[str, ...] = ()
    gdrcopy: bool = setting(
        "--gdrcopy-enabled GDRCOPY_ENABLED flags.gdrcopyEnabled", False, "Give containers access to GDRCopy."
    )
    gds: bool = setting(
        "--gds-enabled GDS_ENABLED flags.gdsEnabled", False, "Give containers access to GPUDirect Storage."
    )
    mofed: bool = setting(
        "--mofed-enabled MOFED_ENABLED flags.mofedEnabled", False, "Give containers access to MOFED devices."
    )
    mps_root: str | None = setting(
        "--mps-root MPS_ROOT flags.mpsRoot",
        None,
        "The folder of MPS on the host. Required for sharing by MPS.",
        parse=optional_text,
    )
    imex_channels: tuple[Literal[0], ...] = setting(
        "--imex-channel-ids IMEX_CHANNEL_IDS imex.channelIDs",
        (),
        "The IMEX channels that containers receive: none, or 0.",
        in_file=list[Literal[0]],
    )
    imex_required: bool = setting(
        "--imex-required IMEX_REQUIRED imex.required", False, "Mark GPUs unhealthy if the IMEX channels do not exist."
    )
    cdi: CdiSettings = field(default_factory=CdiSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFlags:
    """The settings of gpu-device-plugin only in NVIDIA's file. mig_strategy `auto`: use the Node's label nvidia.com/mig.strategy."""

    HEADING: ClassVar = "Devices and sharing"

    responses: ResponseSettings = field(default_factory=ResponseSettings)
    mig_strategy: Literal["none", "single", "mixed", "auto"] = setting(
        "--mig-strategy MIG_STRATEGY flags.migStrategy", "none", _MIG_HELP
    )
    policy: Policy = setting(
        "--shared-devices-allocation-policy SHARED_DEVICES_ALLOCATION_POLICY flags.plugin.sharedDevicesAllocationPolicy",
        "distributed",
        "How replicas of shared devices are allocated: from the device with the fewest (distributed) or the most (packed) replicas in use.",
    )
    mig_policy: Policy = setting(
        "--mig-devices-allocation-policy MIG_DEVICES_ALLOCATION_POLICY flags.plugin.migDevicesAllocationPolicy",
        "distributed",
        "How the MIG devices of a container are allocated: from as many GPUs (distributed) or as few GPUs (packed) as possible. CUDA "
        "uses only one MIG device of a GPU in a process.",
    )
