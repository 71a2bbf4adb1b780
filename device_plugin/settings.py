"""The settings of gpu-device-plugin, in addition to those of every agent. Source: k8s-device-plugin README, "Configuration Flags"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from device_plugin.gate import Gate, parse_gate
from device_plugin.health.checks import parse_checks
from device_plugin.health.startup_taint import parse_startup_taint
from device_plugin.plan.options import MigStrategy, PlanOptions
from gpu_core.cdi.write import CDI_FOLDER
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.health import HealthPolicy
from gpu_core.domain.sharing import Sharing, SharingStrategy
from gpu_core.settings.nvidia_config import NvidiaConfig
from gpu_core.settings.nvidia_settings import PluginFlags, ResponseSettings, driver_mount
from node_core.domain.duration import parse_interval
from node_core.domain.labels import GPU_PRESENT
from node_core.domain.taints import Taint
from node_core.errors import SettingsError
from node_core.kubelet.registration import VERSIONS, ApiVersion
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.named_config import NAMED_CONFIG, NamedConfigOptions, parse_named_config
from node_core.runtime.setting import build, setting
from node_core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFlags:
    """The flags of the health checks; see health.checks."""

    HEADING: ClassVar = "Health of GPUs"

    disable: str = setting(
        "--disable-health-checks DP_DISABLE_HEALTHCHECKS",
        "",
        "Comma-separated Xid numbers to ignore. `xids` ignores every Xid; `all` also turns off the checks that read GPU state.",
    )
    enable: str = setting(
        "--enable-health-checks DP_ENABLE_HEALTHCHECKS",
        "",
        "Comma-separated Xid numbers that always make a GPU unhealthy, or `all`. Takes precedence over --disable-health-checks.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings(PluginFlags):
    """named: the source of the configs that the Node label selects. cdi_folder: where the container runtime reads CDI specifications.

    gate: the required Node label. gate_delay: seconds for which removed labels are retained; None for ever. kubelet_api: the API versions
    to try, in order. health: when a GPU is unhealthy. ignored_checks: words of the health check flags that are not valid. startup_taint:
    removed when the GPUs are registered with the kubelet.
    """

    HEADING: ClassVar = "Kubelet and Node"

    kubelet_socket: Path = setting(
        "--kubelet-socket KUBELET_SOCKET",
        KUBELET_SOCKET,
        "Registration socket of the kubelet. The plugin creates its sockets in the same folder.",
        fixed=True,
    )
    podresources_socket: Path | None = setting(
        "--podresources-socket PODRESOURCES_SOCKET",
        None,
        "Pod-resources socket below the --root-dir of the kubelet. Default: in pod-resources next to the folder of --kubelet-socket.",
        fixed=True,
    )
    cdi_folder: Path = setting(
        "--cdi-dir CDI_DIR",
        CDI_FOLDER,
        "Folder in which the container runtime reads CDI specifications. The plugin writes and removes its specifications there.",
        fixed=True,
    )
    gate: Gate = setting(
        "--gate-label GATE_LABEL",
        Gate(),
        "Advertise GPUs only while the Node has this label. An empty value means always.",
        parse=parse_gate,
        shown=f"{GPU_PRESENT}=true",
    )
    gate_delay: float | None = setting(
        "--gate-delay GATE_DELAY",
        30.0,
        "How long the labels that the plugin depends on may be absent from the Node before the plugin reacts. Another value takes effect "
        "at once.",
        parse=lambda text: 0.0 if text in ("0", "0s") else parse_interval(text),
        metavar="DURATION",
        shown="30s",
    )
    kubelet_api: tuple[ApiVersion, ...] = setting(
        "--kubelet-api KUBELET_API",
        VERSIONS,
        "Version of the kubelet's device plugin API. `auto` uses v1alpha only if the kubelet does not support v1beta1.",
        parse=lambda text: VERSIONS if text == "auto" else (text,),
        choices=("auto", *VERSIONS),
        shown="auto",
    )
    startup_taint: Taint | None = setting(
        "--startup-taint STARTUP_TAINT",
        None,
        "Taint that keeps pods off a new Node until its GPUs are registered with the kubelet, such as nvidia.com/gpu-not-ready:NoSchedule.",
        parse=lambda text: parse_startup_taint(text) if text else None,
        metavar="TAINT",
    )
    waits_for_mig_manager: bool = setting(
        "--wait-for-mig-manager WAIT_FOR_MIG_MANAGER",
        False,
        "On a Node with the label nvidia.com/mig.config, register the GPUs only after mig-manager has made the layout of this boot, or"
        " after five minutes.",
        fixed=True,
    )
    sharing: Sharing | None = None
    rules: DeviceRules = field(default_factory=DeviceRules)
    named: NamedConfigOptions | None = None
    health: HealthPolicy = field(default_factory=HealthPolicy)
    ignored_checks: tuple[str, ...] = ()


PLUGIN = (HealthFlags, PluginSettings, *NAMED_CONFIG)
"""The settings classes of the command line."""


def plugin_settings(values: Mapping[str, Any]) -> PluginSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    problems: list[str] = []
    config: NvidiaConfig = values["nvidia_config"] or NvidiaConfig()
    flags = build(HealthFlags, values)
    checks = parse_checks(flags.disable, flags.enable)
    settings = build(
        PluginSettings,
        values,
        responses=replace(
            build(ResponseSettings, values),
            driver_root_mount=driver_mount(values),
            library_dirs=values["driver_library_dirs"],
        ),
        sharing=config.sharing,
        rules=config.rules,
        named=parse_named_config(values, problems),
        health=config.health_policy(checks.xids, polled=checks.polled),
        ignored_checks=checks.ignored,
    )
    lists, sharing = settings.responses.device_lists, settings.sharing
    if "auto" in lists and len(lists) > 1:
        problems.append(
            "--device-list-strategy: `auto` cannot be combined with other strategies. Remove `auto` or the others."
        )
    if sharing is not None and sharing.strategy is SharingStrategy.MPS and settings.responses.mps_root is None:
        problems.append(
            "--mps-root is required for sharing by MPS. Set --mps-root to the MPS folder on the host, such as /run/nvidia/mps."
        )
    if problems:
        raise SettingsError(problems)
    return settings


def plan_options(settings: PluginSettings, mig_strategy: MigStrategy = "none") -> PlanOptions:
    """Returns the options of the device plan. mig_strategy: the strategy to use if the setting is `auto`."""
    return PlanOptions(
        mig_strategy=mig_strategy if settings.mig_strategy == "auto" else settings.mig_strategy,
        sharing=settings.sharing,
        rules=settings.rules,
        policy=settings.policy,
        mig_policy=settings.mig_policy,
    )
