"""Decisions by runtime, version and config."""

from typing import Any

import pytest

from gpu_toolkit.assess import assess
from gpu_toolkit.model import Cdi, Reason, Runtime, Values, Wanted

BOTH = ("/etc/cdi", "/var/run/cdi")
ON, OFF, NONE = (
    Cdi(is_enabled=True, folders=BOTH),
    Cdi(is_enabled=False, folders=BOTH),
    Cdi(is_enabled=None, folders=()),
)


@pytest.mark.parametrize(
    ("name", "version", "cdi", "reason", "values"),
    [
        ("containerd", "2.0.0", ON, Reason.READY, None),
        ("containerd", "2.1.9+unknown", ON, Reason.READY, None),
        ("containerd", "1.7.27", ON, Reason.READY, None),
        ("containerd", "1.7.27", OFF, Reason.SWITCH_MISSING, {"enable_cdi": True}),
        ("containerd", "2.0.5-k3s1", OFF, Reason.SWITCH_MISSING, {"enable_cdi": True}),
        ("containerd", "1.7.0", Cdi(is_enabled=False, folders=()), Reason.SWITCH_MISSING,
         {"enable_cdi": True, "cdi_spec_dirs": ("/var/run/cdi",)}),
        ("containerd", "2.1.0", Cdi(is_enabled=True, folders=("/etc/cdi",)), Reason.SWITCH_MISSING,
         {"cdi_spec_dirs": ("/etc/cdi", "/var/run/cdi")}),
        ("containerd", "2.0.2", Cdi(is_enabled=True, folders=("/run/cdi",)), Reason.READY, None),  # Talos
        ("containerd", "1.6.36", NONE, Reason.IMPOSSIBLE, None),
        ("containerd", "1.6.36", ON, Reason.IMPOSSIBLE, None),
        ("containerd", "2.1.0", None, Reason.UNKNOWN, None),
        ("cri-o", "1.34.1", ON, Reason.READY, None),
        ("cri-o", "1.28.0", Cdi(is_enabled=True, folders=("/etc/cdi",)), Reason.SWITCH_MISSING,
         {"cdi_spec_dirs": ("/etc/cdi", "/var/run/cdi")}),
        ("cri-o", "1.23.5", ON, Reason.IMPOSSIBLE, None),
        ("docker", "28.3.2", Cdi(is_enabled=None, folders=BOTH), Reason.READY, None),
        ("docker", "28.3.2", OFF, Reason.MANUAL, None),
        ("docker", "27.5.1", ON, Reason.READY, None),
        ("docker", "27.5.1", Cdi(is_enabled=None, folders=BOTH), Reason.MANUAL, None),
        ("docker", "24.0.9", ON, Reason.IMPOSSIBLE, None),
        ("runk", "1.0", None, Reason.UNKNOWN, None),
        ("containerd", "", ON, Reason.IMPOSSIBLE, None),
    ],
)  # fmt: skip
def test_each_runtime_gets_the_right_decision(
    name: str, version: str, cdi: Cdi | None, reason: Reason, values: Values | None
) -> None:
    runtime = Runtime(name=name, version=version, socket="/s", config="/c", cdi=cdi)
    state = assess(runtime, "/var/run/cdi")
    assert (state.reason, state.wanted) == (reason, None if values is None else {(): values})
    assert f"{name} {version}" in state.message or reason is Reason.MANUAL


PROGRAM = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
HANDLER = ("containerd", "runtimes", "nvidia")
TYPE = {"runtime_type": "io.containerd.runc.v2"}


@pytest.mark.parametrize(
    ("name", "version", "more", "reason", "wanted"),
    [
        ("containerd", "1.6.36", {}, Reason.SWITCH_MISSING, {HANDLER: TYPE, (*HANDLER, "options"): {"BinaryName": PROGRAM}}),
        ("containerd", "1.6.36", {"has_systemd_cgroups": True}, Reason.SWITCH_MISSING,
         {HANDLER: TYPE, (*HANDLER, "options"): {"BinaryName": PROGRAM, "SystemdCgroup": True}}),
        ("containerd", "1.6.36", {"handlers": frozenset({"runc", "nvidia"})}, Reason.LEGACY, None),
        ("cri-o", "1.26.0", {}, Reason.SWITCH_MISSING, {("runtimes", "nvidia"): {"runtime_path": PROGRAM, "runtime_type": "oci"}}),
        ("docker", "24.0.9", {}, Reason.IMPOSSIBLE, None),
        ("containerd", "2.1.0", {}, Reason.READY, None),
    ],
)  # fmt: skip
def test_a_runtime_without_cdi_gets_the_handler_of_nvidias_runtime(
    name: str, version: str, more: dict[str, Any], reason: Reason, wanted: Wanted | None
) -> None:
    runtime = Runtime(name=name, version=version, socket="/s", config="/c", cdi=ON, **more)
    state = assess(runtime, "/var/run/cdi", PROGRAM)
    assert (state.reason, state.wanted) == (reason, wanted)
