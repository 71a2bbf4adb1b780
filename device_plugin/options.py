"""gpu-device-plugin's own flags, and the settings they become. Source: k8s-device-plugin README, "Configuration Flags"."""

from collections.abc import Iterator
from typing import Any

import click

from device_plugin.allocate.strategies import AUTO, DEVICE_LISTS
from device_plugin.cdi.write import CDI_FOLDER
from device_plugin.gate import Gate, parse_gate
from device_plugin.health.checks import Checks, parse_checks
from device_plugin.health.options import health_options
from device_plugin.settings import CdiSettings, PluginSettings, ResponseSettings
from node_core.domain.health import HealthPolicy
from node_core.domain.labels import GPU_PRESENT
from node_core.domain.sharing import SharingStrategy
from node_core.errors import SettingsError
from node_core.kubelet.registration import VERSIONS
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import bool_option, options
from node_core.runtime.list_options import int_list_option, list_option
from node_core.runtime.named_options import named_options, named_problems, named_settings
from node_core.runtime.nvidia_config import NvidiaConfig, plan_health, plan_sharing
from node_core.runtime.nvidia_devices import plan_rules

_response_options = options(
    list_option(
        "--device-list-strategy",
        envvar="DEVICE_LIST_STRATEGY",
        default=(AUTO,),
        known=(AUTO, *DEVICE_LISTS),
        help_text="How containers are told their GPUs; auto: by CDI where kubelet and container runtime do that, else by environment.",
    ),
    click.option(
        "--device-id-strategy",
        envvar="DEVICE_ID_STRATEGY",
        default="uuid",
        type=click.Choice(["uuid", "index"]),
        help="What GPUs are called when containers are told of them.",
    ),
    bool_option(
        "--pass-device-specs",
        envvar="PASS_DEVICE_SPECS",
        default=False,
        help_text="Tell the kubelet the device nodes too, as its CPU manager needs it.",
    ),
    click.option(
        "--driver-root",
        "--nvidia-driver-root",
        "nvidia_driver_root",
        envvar="NVIDIA_DRIVER_ROOT",
        default="/",
        help="The driver's root on the host.",
    ),
    click.option(
        "--dev-root",
        "--nvidia-dev-root",
        "nvidia_dev_root",
        envvar="NVIDIA_DEV_ROOT",
        help="The folder on the host that holds the dev with the GPUs' nodes; the driver's root if nothing is said.",
    ),
    bool_option("--gdrcopy-enabled", envvar="GDRCOPY_ENABLED", default=False, help_text="Give containers GDRCopy."),
    bool_option("--gds-enabled", envvar="GDS_ENABLED", default=False, help_text="Give containers GPUDirect Storage."),
    bool_option("--mofed-enabled", envvar="MOFED_ENABLED", default=False, help_text="Give containers MOFED devices."),
    click.option("--mps-root", envvar="MPS_ROOT", help="The folder of MPS on the host; sharing by MPS needs it."),
    int_list_option(
        "--imex-channel-ids",
        envvar="IMEX_CHANNEL_IDS",
        allowed=frozenset({0}),
        help_text="IMEX channels that containers get: none, or 0.",
    ),
    bool_option(
        "--imex-required", envvar="IMEX_REQUIRED", default=False, help_text="The IMEX channels have to be there."
    ),
)

_cdi_options = options(
    click.option(
        "--cdi-dir",
        envvar="CDI_DIR",
        default=str(CDI_FOLDER),
        type=PathType(),
        help="Where the container runtime reads CDI specs; ours are written and removed there.",
    ),
    click.option(
        "--cdi-annotation-prefix",
        envvar="CDI_ANNOTATION_PREFIX",
        default="cdi.k8s.io/",
        help="Of the annotation's key with cdi-annotations.",
    ),
    click.option(
        "--nvidia-cdi-hook-path",
        "--nvidia-ctk-path",
        "nvidia_ctk_path",
        envvar=["NVIDIA_CDI_HOOK_PATH", "NVIDIA_CTK_PATH"],
        help="The hook program of CDI specs, on the host; /usr/bin/nvidia-ctk where it is there if nothing is said.",
    ),
    list_option("--cdi-feature-flags", envvar="CDI_FEATURE_FLAGS", help_text="NVIDIA's feature flags of CDI specs."),
    list_option(
        "--cdi-disable-hooks", envvar="CDI_DISABLE_HOOKS", help_text="Hooks to leave out of CDI specs, or all."
    ),
)


def _gate(_: click.Context, __: click.Parameter, text: str) -> Gate:
    try:
        return parse_gate(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


plugin_options = options(
    health_options,
    _response_options,
    _cdi_options,
    click.option(
        "--shared-devices-allocation-policy",
        envvar="SHARED_DEVICES_ALLOCATION_POLICY",
        default="distributed",
        type=click.Choice(["distributed", "packed"]),
        help="Where replicas of shared devices go: to the device with the fewest, or with the most in use.",
    ),
    click.option(
        "--mig-devices-allocation-policy",
        envvar="MIG_DEVICES_ALLOCATION_POLICY",
        default="packed",
        type=click.Choice(["distributed", "packed"]),
        help="Where the MIG devices of a container come from: from as few GPUs as possible, or from as many.",
    ),
    click.option(
        "--gate-label",
        envvar="GATE_LABEL",
        default=f"{GPU_PRESENT}=true",
        callback=_gate,
        help="Serve while the Node has this label; always, if it is empty.",
    ),
    click.option(
        "--kubelet-api",
        envvar="KUBELET_API",
        default="auto",
        type=click.Choice(["auto", *VERSIONS]),
        help="Version of the device plugin API; auto: v1alpha for kubelets that know nothing newer.",
    ),
    click.option(
        "--kubelet-socket",
        envvar="KUBELET_SOCKET",
        default=str(KUBELET_SOCKET),
        type=PathType(),
        help="The kubelet's registration socket; ours lie beside it.",
    ),
    named_options,
)


FIXED = ("driver_root", "kubelet_socket", "cdi_dir", "device_discovery_strategy")
"""Parameters that are settled when the process begins."""


def plugin_settings(values: dict[str, Any]) -> PluginSettings:
    """From click's values. Raises SettingsError."""
    config: NvidiaConfig | None = values.get("nvidia_config")
    checks = parse_checks(values["disable_health_checks"], values["enable_health_checks"])
    settings = PluginSettings(
        mig_strategy=values["mig_strategy"],
        sharing=plan_sharing(config.sharing) if config else None,
        rules=plan_rules(config.device_sections if config else NvidiaConfig().device_sections),
        policy=values["shared_devices_allocation_policy"],
        mig_policy=values["mig_devices_allocation_policy"],
        responses=_responses(values),
        kubelet_socket=values["kubelet_socket"],
        named=named_settings(values),
        health=_health(checks, config),
        ignored_checks=checks.ignored,
        startup_taint=values["startup_taint"],
        cdi_folder=values["cdi_dir"],
        gate=values["gate_label"],
        kubelet_api=VERSIONS if values["kubelet_api"] == "auto" else (values["kubelet_api"],),
    )
    if problems := [*named_problems(values), *_problems(settings)]:
        raise SettingsError(problems)
    return settings


def _responses(values: dict[str, Any]) -> ResponseSettings:
    return ResponseSettings(
        device_lists=values["device_list_strategy"],
        id_strategy=values["device_id_strategy"],
        pass_device_specs=values["pass_device_specs"],
        driver_root=values["nvidia_driver_root"] or "/",
        dev_root=values["nvidia_dev_root"] or None,
        driver_root_seen=values["driver_root"],
        gdrcopy=values["gdrcopy_enabled"],
        gds=values["gds_enabled"],
        mofed=values["mofed_enabled"],
        imex_channels=values["imex_channel_ids"],
        imex_required=values["imex_required"],
        mps_root=values["mps_root"] or None,
        cdi=CdiSettings(
            annotation_prefix=values["cdi_annotation_prefix"],
            hook_path=values["nvidia_ctk_path"] or None,
            feature_flags=frozenset(values["cdi_feature_flags"]),
            disabled_hooks=frozenset(values["cdi_disable_hooks"]),
        ),
    )


def _health(checks: Checks, config: NvidiaConfig | None) -> HealthPolicy:
    return plan_health((config or NvidiaConfig()).health, checks.xids, polled=checks.polled)


def _problems(settings: PluginSettings) -> Iterator[str]:
    if AUTO in settings.responses.device_lists and len(settings.responses.device_lists) > 1:
        yield "--device-list-strategy: auto stands alone: take it out, or the others"
    is_mps = settings.sharing is not None and settings.sharing.strategy is SharingStrategy.MPS
    if is_mps and settings.responses.mps_root is None:
        yield "--mps-root: is missing, and sharing by MPS needs it: name the folder of MPS on the host, as /run/nvidia/mps"
