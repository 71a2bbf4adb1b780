"""What gpu-device-plugin is told beside the common settings. Source: k8s-device-plugin README, "Configuration Flags"."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from device_plugin.allocate.respond import IdStrategy
from device_plugin.allocate.strategies import AUTO, DeviceList
from device_plugin.cdi.write import CDI_FOLDER
from device_plugin.devices import Policy
from device_plugin.gate import Gate
from node_core.decode import Document
from node_core.domain.device_rules import DeviceRules
from node_core.domain.health import HealthPolicy
from node_core.domain.sharing import Sharing
from node_core.domain.taints import Taint
from node_core.kubelet.registration import VERSIONS, ApiVersion
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.named_config import NamedConfigOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiSettings:
    """annotation_prefix: of the annotation's key. hook_path: of nvidia-ctk or nvidia-cdi-hook on the host; None where nobody has set it.

    feature_flags, disabled_hooks: NVIDIA's names; `all` disables every hook.
    """

    annotation_prefix: str = "cdi.k8s.io/"
    hook_path: str | None = None
    feature_flags: frozenset[str] = frozenset()
    disabled_hooks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """How containers are told of their devices, and what they get beside them.

    device_lists: strategies; `auto` alone: as the Node's kubelet and runtime can. driver_root, dev_root, mps_root: on the host; dev_root
    None for the driver root, mps_root None without MPS. driver_root_seen: the driver root as we see it. imex_required: without the
    channels no GPU is usable.
    """

    device_lists: tuple[DeviceList | Literal["auto"], ...] = (AUTO,)
    id_strategy: IdStrategy = "uuid"
    pass_device_specs: bool = False
    driver_root: str = "/"
    dev_root: str | None = None
    driver_root_seen: Path = Path("/driver-root")
    gdrcopy: bool = False
    gds: bool = False
    mofed: bool = False
    imex_channels: tuple[int, ...] = ()
    imex_required: bool = False
    mps_root: str | None = None
    cdi: CdiSettings = field(default_factory=CdiSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """mig_strategy `auto`: as the Node's label says. policy, mig_policy: as of PlanOptions.

    named: where the configs are that a label chooses from. cdi_folder: where the container runtime reads specs. gate: the label that has to
    be there. kubelet_api: versions to try, in order. health: which GPUs containers do not get. ignored_checks: words for health checks that
    mean nothing. startup_taint: goes when the kubelet has our devices.
    """

    mig_strategy: Literal["none", "single", "mixed", "auto"] = "none"
    sharing: Sharing | None = None
    rules: DeviceRules = field(default_factory=DeviceRules)
    policy: Policy = "distributed"
    mig_policy: Policy = "packed"
    responses: ResponseSettings = field(default_factory=ResponseSettings)
    kubelet_socket: Path = KUBELET_SOCKET
    named: NamedConfigOptions | None = None
    cdi_folder: Path = CDI_FOLDER
    gate: Gate = field(default_factory=Gate)
    kubelet_api: tuple[ApiVersion, ...] = VERSIONS
    health: HealthPolicy = field(default_factory=HealthPolicy)
    ignored_checks: tuple[str, ...] = ()
    startup_taint: Taint | None = None


Reread = Callable[[Document | None], PluginSettings]
"""The settings with another config, or with none. Raises SettingsError."""
