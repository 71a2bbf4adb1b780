"""The settings of gpu-validator, in addition to those of every agent that discovers GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from gpu_validator.check import Name
from gpu_validator.files import FOLDER
from node_core.kubelet.podresources import SOCKET
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime.setting import build, optional_path, optional_text, setting

CDI_FOLDER = Path("/var/run/cdi")
STATIC_CDI_FOLDER = Path("/etc/cdi")


def parse_skipped(text: str) -> tuple[Name, ...]:
    """Parses names of checks, separated by commas. Raises ValueError with the reason."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in names if each not in tuple(Name)]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a check. The checks are {', '.join(Name)}")
    return tuple(map(Name, names))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSettings:
    """driver_root, dev_root: on the host. dev_root: None for the driver root if it has device nodes, otherwise the root of the host.

    validations: None for no files. runtime_socket: None for the first default socket that exists. image: None for that of the own pod.
    """

    HEADING: ClassVar = "Validation"

    skipped: tuple[Name, ...] = setting(
        "--skip-checks VALIDATOR_SKIP_CHECKS",
        (),
        f"Checks to omit, separated by commas: {', '.join(Name)}. Their verdict is: not applicable.",
        parse=parse_skipped,
        metavar="NAMES",
        shown="",
    )
    validations: Path | None = setting(
        "--validations-dir OUTPUT_DIR",
        FOLDER,
        "Folder in which driver-ready, toolkit-ready, cuda-ready and plugin-ready exist while none of their checks fails."
        " Empty: write no files.",
        parse=optional_path,
        shown=str(FOLDER),
        fixed=True,
    )
    driver_root: str = setting(
        "--driver-root --nvidia-driver-root NVIDIA_DRIVER_ROOT",
        "/",
        "The root folder of the driver on the host, as for gpu-device-plugin.",
        parse=lambda text: text or "/",
        fixed=True,
    )
    dev_root: str | None = setting(
        "--dev-root --nvidia-dev-root NVIDIA_DEV_ROOT",
        None,
        "The folder on the host whose subfolder dev contains the device nodes of the GPUs. Default: the driver root if it has device nodes,"
        " otherwise the root of the host.",
        parse=optional_text,
        fixed=True,
    )
    device_lists: tuple[Literal["auto", "envvar", "volume-mounts", "cdi-annotations", "cdi-cri"], ...] = setting(
        "--device-list-strategy DEVICE_LIST_STRATEGY",
        ("auto",),
        "As for gpu-device-plugin. CDI specifications must exist if pods get their GPUs by CDI.",
    )
    cdi_folder: Path = setting(
        "--cdi-dir CDI_DIR", CDI_FOLDER, "Folder with the CDI specifications that gpu-device-plugin writes.", fixed=True
    )
    podresources_socket: Path = setting(
        "--podresources-socket PODRESOURCES_SOCKET",
        SOCKET,
        "Pod-resources socket of the kubelet, which lists the devices of the node and of the pods.",
        fixed=True,
    )
    device_plugin_folder: Path = setting(
        "--device-plugin-dir VALIDATOR_DEVICE_PLUGIN_DIR",
        DEVICE_PLUGIN_DIR,
        "The kubelet's folder of device plugins. The checks run again when the kubelet creates its socket there.",
        fixed=True,
    )
    runtime_socket: Path | None = setting(
        "--runtime-socket CONTAINER_RUNTIME_ENDPOINT",
        None,
        "Socket of the container runtime, for the check container. Default: the first one that exists of the sockets of containerd, k3s,"
        " MicroK8s, k0s, CRI-O and cri-dockerd.",
        parse=lambda text: Path(text.removeprefix("unix://")) if text else None,
        fixed=True,
    )
    image: str | None = setting(
        "--container-image VALIDATOR_CONTAINER_IMAGE",
        None,
        "An image of this project that the node has, for the check container. Default in a pod: the image of the pod.",
        parse=optional_text,
    )


def validator_settings(values: Mapping[str, Any]) -> ValidatorSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    return build(ValidatorSettings, values)
