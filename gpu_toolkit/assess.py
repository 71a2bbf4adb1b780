"""Decides whether pods get GPUs by CDI from a runtime, and what is missing. PURE.

Source: documentation of containerd (`enable_cdi` since 1.7, true since 2.0), of CRI-O (`cdi_spec_dirs`), of Docker Engine (release notes
of 25.0 and 28.2), and of cri-dockerd.
"""

from collections.abc import Mapping
from typing import Any

from gpu_toolkit.edits import HANDLERS, RUNC
from gpu_toolkit.model import NVIDIA, Assessment, Cdi, Kind, Reason, Runtime, Value, Wanted
from node_core.domain.cdi_support import RUNTIMES, Version, is_at_least

CONTAINERD_SWITCH: Version = (1, 7)
"""The first version of containerd with `enable_cdi`."""
DOCKER_SWITCH: Version = (25,)
DOCKER_DEFAULT: Version = (28, 2)
CRI_O: Version = RUNTIMES["cri-o"]
NOT_NEEDED = "So gpu-toolkit changes nothing."


def assess(runtime: Runtime, folder: str, nvidia: str | None = None) -> Assessment:
    """folder: in which gpu-device-plugin writes CDI specifications, on the host. nvidia: the path of NVIDIA's runtime, or None."""
    state = _assess_cdi(runtime, folder)
    if state.reason is not Reason.IMPOSSIBLE or runtime.kind is Kind.DOCKER:
        return state
    if NVIDIA in runtime.handlers:
        message = f"{runtime.title} has NVIDIA's runtime. Pods with the RuntimeClass {NVIDIA} get GPUs from it."
        return Assessment(reason=Reason.LEGACY, message=message)
    if nvidia is None:
        return state
    message = f"{runtime.title} cannot inject CDI devices, and has no handler {NVIDIA}."
    return Assessment(reason=Reason.SWITCH_MISSING, message=message, wanted=_handler(runtime, nvidia))


def _handler(runtime: Runtime, nvidia: str) -> Wanted:
    if runtime.kind is Kind.CRI_O:
        return {("runtimes", NVIDIA): {"runtime_path": nvidia, "runtime_type": "oci"}}
    table = (*HANDLERS, NVIDIA)
    options: dict[str, Value] = {"BinaryName": nvidia}
    if runtime.has_systemd_cgroups is not None:
        options["SystemdCgroup"] = runtime.has_systemd_cgroups
    return {table: {"runtime_type": RUNC}, (*table, "options"): options}


def _assess_cdi(runtime: Runtime, folder: str) -> Assessment:
    match runtime.kind:
        case Kind.CONTAINERD:
            return _assess_containerd(runtime, folder)
        case Kind.CRI_O:
            return _assess_crio(runtime, folder)
        case Kind.DOCKER:
            return _assess_docker(runtime)
    known = ", ".join(Kind)
    message = f"The kubelet uses the runtime {runtime.title}, which gpu-toolkit does not know (it knows {known})."
    return Assessment(reason=Reason.UNKNOWN, message=f"{message} See its documentation for CDI.")


def _assess_containerd(runtime: Runtime, folder: str) -> Assessment:
    cdi = runtime.cdi
    if cdi is None:
        why = f"{runtime.title} does not report its config, so gpu-toolkit cannot decide whether CDI is on."
        return Assessment(reason=Reason.UNKNOWN, message=why)
    if cdi.is_enabled is None or not is_at_least(runtime.version, CONTAINERD_SWITCH):
        return _impossible(runtime, "containerd supports CDI since 1.7")
    if cdi.is_enabled and has_folder(cdi, folder):
        return _ready(runtime)
    values: dict[str, Any] = {} if cdi.is_enabled else {"enable_cdi": True}
    if not has_folder(cdi, folder):
        values["cdi_spec_dirs"] = (*cdi.folders, folder)
    return _switch(runtime, values)


def _assess_crio(runtime: Runtime, folder: str) -> Assessment:
    if not is_at_least(runtime.version, CRI_O):
        return _impossible(runtime, f"CRI-O injects the CDI devices of the kubelet since {'.'.join(map(str, CRI_O))}")
    if runtime.cdi is None or has_folder(runtime.cdi, folder):
        return _ready(runtime)
    return _switch(runtime, {"cdi_spec_dirs": (*runtime.cdi.folders, folder)})


def _assess_docker(runtime: Runtime) -> Assessment:
    if not is_at_least(runtime.version, DOCKER_SWITCH):
        return _impossible(runtime, "Docker supports CDI since 25.0")
    is_enabled = runtime.cdi and runtime.cdi.is_enabled
    if is_enabled or (is_enabled is None and is_at_least(runtime.version, DOCKER_DEFAULT)):
        message = (
            f"{runtime.title} injects CDI devices, if cri-dockerd passes them on: versions before December 2025 do not."
        )
        return Assessment(reason=Reason.READY, message=f"{message} {NOT_NEEDED}")
    message = (
        f'Set "features": {{"cdi": true}} in {runtime.config}, and restart Docker when no container must run: without live-restore,'
        " Docker ends all containers. gpu-toolkit does not restart Docker."
    )
    return Assessment(reason=Reason.MANUAL, message=message)


def has_folder(cdi: Cdi, folder: str) -> bool:
    """Whether the runtime reads CDI specifications of the folder. /var/run is /run on all hosts with systemd, and on Talos."""
    return _canonical(folder) in map(_canonical, cdi.folders)


def _canonical(path: str) -> str:
    plain = path.rstrip("/")
    return plain.removeprefix("/var") if plain.startswith("/var/run/") else plain


def _ready(runtime: Runtime) -> Assessment:
    return Assessment(reason=Reason.READY, message=f"Pods get GPUs by CDI from {runtime.title}. {NOT_NEEDED}")


def _switch(runtime: Runtime, values: Mapping[str, Any]) -> Assessment:
    named = " and ".join(values)
    message = f"{runtime.title} can inject CDI devices, but {named} of its config must be set."
    return Assessment(reason=Reason.SWITCH_MISSING, message=message, wanted={(): values})


def _impossible(runtime: Runtime, since: str) -> Assessment:
    message = f"{runtime.title} cannot inject CDI devices: {since}. Upgrade it, or give gpu-toolkit NVIDIA's runtime (--toolkit-source)."
    return Assessment(reason=Reason.IMPOSSIBLE, message=message)
