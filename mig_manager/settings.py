"""The settings of mig-manager, in addition to those of every agent. Source: README of mig-parted, documentation of the MIG Manager."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from gpu_core.clients.pause import COMPONENTS, DEPLOY
from mig_manager.policy import ANNOTATION
from node_core.domain.duration import parse_interval
from node_core.domain.labels import key_problem
from node_core.errors import SettingsError
from node_core.kubelet.podresources import SOCKET
from node_core.runtime.command import ignored_option
from node_core.runtime.config_map import ConfigMapName, parse_config_map_name
from node_core.runtime.setting import build, optional_path, setting

NOT_CLIENTS = ("driver", "operands")
"""Components whose pause would end the driver."""
STATE_DIR = Path("/var/lib/gpunode")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigSettings:
    """busy_timeout: seconds; None for ever."""

    HEADING: ClassVar = "MIG layouts"

    config_file: Path | None = setting(
        "--mig-config-file MIG_PARTED_CONFIG_FILE",
        None,
        "Config file of mig-parted, or a folder of such files. Changes take effect at once. The names all-disabled, all-enabled,"
        " all-balanced and all-PROFILE need no file.",
        parse=optional_path,
    )
    config_map: ConfigMapName | None = setting(
        "--mig-config-map MIG_CONFIG_MAP",
        None,
        "ConfigMap whose entries are config files of mig-parted, watched by the API. Use in place of --mig-config-file.",
        parse=lambda text: parse_config_map_name(text) if text else None,
        metavar="NAMESPACE/NAME",
    )
    busy_policy: Literal["wait", "evict", "force"] = setting(
        "--mig-busy-policy MIG_BUSY_POLICY",
        "wait",
        "What to do if pods use MIG devices that the new layout destroys. wait: until the pods end. evict: evict the pods, within their"
        f" disruption budgets. force: delete the pods. The annotation {ANNOTATION} of the Node takes precedence.",
    )
    busy_timeout: float | None = setting(
        "--mig-busy-timeout MIG_BUSY_TIMEOUT",
        300.0,
        "How long to wait until MIG devices are free. After that the state is failed, and the layout is applied at most 5 minutes after"
        " they are free.",
        parse=parse_interval,
        metavar="DURATION",
        shown="5m",
    )
    skip_reset: bool = setting(
        "--mig-skip-reset MIG_PARTED_SKIP_RESET",
        False,
        "Do not reset GPUs, and do not change the MIG mode of GPUs that need a reset for this change.",
    )
    with_reboot: bool = setting(
        "--mig-with-reboot WITH_REBOOT",
        False,
        "Reboot the node, which ends all its pods, if a GPU needs a reset for its new MIG mode and the reset is not possible. At most once"
        " for each boot and config. Needs --state-dir.",
    )
    hooks_file: Path | None = setting(
        "--mig-hooks-file MIG_PARTED_HOOKS_FILE",
        None,
        "Hooks file of mig-parted: commands that run before and after a change of layouts, in the agent's container. A command that fails"
        " before the change prevents the change.",
        parse=optional_path,
    )
    state_dir: Path | None = setting(
        "--state-dir MIG_MANAGER_STATE_DIR",
        STATE_DIR,
        "Folder on a disk, in which an unfinished change is recorded. Empty: a change that is interrupted may remain incomplete.",
        parse=optional_path,
        shown=str(STATE_DIR),
        fixed=True,
    )
    pause_components: tuple[str, ...] = setting(
        "--mig-pause-components MIG_PAUSE_COMPONENTS",
        (),
        "Pause the DaemonSets of others while a GPU is reset for a new MIG mode: those that select nodes by the label"
        " nvidia.com/gpu.deploy.COMPONENT, for example dcgm,dcgm-exporter. The labels of the Node are restored afterwards.",
        metavar="COMPONENT",
    )
    stop_host_services: bool = setting(
        "--mig-stop-host-services WITH_SHUTDOWN_HOST_GPU_CLIENTS",
        False,
        "Stop services of the host while a GPU is reset for a new MIG mode: DCGM, NVSM and nv_peer_mem, or those of --mig-gpu-clients-file."
        " Those that were active start again afterwards. Needs --state-dir.",
    )
    gpu_clients_file: Path | None = setting(
        "--mig-gpu-clients-file GPU_CLIENTS_FILE",
        None,
        "File of NVIDIA's MIG Manager (clients.yaml) with the services that --mig-stop-host-services stops, in place of the default ones.",
        parse=optional_path,
    )
    mig_pod_resources_socket: Path | None = setting(
        "--mig-pod-resources-socket MIG_POD_RESOURCES_SOCKET",
        None,
        f"Pod-resources socket of the kubelet. Default: {SOCKET}.",
        parse=optional_path,
        fixed=True,
    )


MIG = (
    MigSettings,
    ignored_option(
        "--default-gpu-clients-file",
        "DEFAULT_GPU_CLIENTS_FILE",
        "--mig-stop-host-services stops the services of this file by default",
    ),
    ignored_option(
        "--default-config-file",
        "DEFAULT_CONFIG_FILE",
        "the names of NVIDIA's file are derived from the profiles of the GPUs",
    ),
)
"""The settings classes and options of mig-manager, as an own program and in `gpunode run`."""


def mig_settings(values: Mapping[str, Any]) -> MigSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    made = build(MigSettings, values)
    if problems := [*_find_problems(made)]:
        raise SettingsError(problems)
    return made


def _find_problems(made: MigSettings) -> Iterator[str]:
    if made.config_file is not None and made.config_map is not None:
        yield "--mig-config-file: is used together with --mig-config-map: use only one of them"
    if made.with_reboot and made.state_dir is None:
        yield "--mig-with-reboot: needs --state-dir, where the agent records the reboot"
    if made.stop_host_services and made.state_dir is None:
        yield "--mig-stop-host-services: needs --state-dir, where the agent records the services"
    for name in made.pause_components:
        if name in NOT_CLIENTS:
            yield f"--mig-pause-components: {name!r} would end the driver, which resets the GPUs. Use names such as {', '.join(COMPONENTS)}"
        elif key_problem(f"{DEPLOY}{name}") is not None:
            yield f"--mig-pause-components: {name!r} is not a component. Use names such as {', '.join(COMPONENTS)}"
