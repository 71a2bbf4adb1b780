"""Measures another implementation with the same client, node and library: `--against KIND=COMMAND`.

KIND is `plugin`, `gfd` or `nfd`. COMMAND is a command of the shell. It runs as in a pod: NODE_NAME and the address of the API server in the
environment, the token of a service account, /var/lib/kubelet/device-plugins with the socket of the kubelet, and libnvidia-ml.so.1 on the
path of the dynamic linker. `{node}`, `{socket}`, `{driver}` and `{config}` in the command are replaced by the name of the Node, the socket
of the kubelet, the driver root, and a config file of NVIDIA's plugin, which has 100 replicas of each GPU in one case. Replicas are measured
only if the command contains `{config}`.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.agents import GPU, SETTLE_SECONDS, measure_idle
from benchmarks.calls import measure_calls
from benchmarks.oneshot import run_once
from benchmarks.pod import NODE, Bench, Stage, open_stage
from benchmarks.procfs import find_descendants, read_pss

KINDS = ("plugin", "gfd", "nfd")
ONESHOT = {"gfd": "oneshot gfd", "nfd": "oneshot nfd-lite"}
"""The number of ours that a kind is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """kind: one of KINDS. command: for the shell."""

    kind: str
    command: str


def parse_other(text: str) -> Other:
    """Parses KIND=COMMAND. Raises ValueError."""
    kind, equals, command = text.partition("=")
    if not equals or kind not in KINDS or not command.strip():
        raise ValueError(f"--against: {text!r} is not valid. Use KIND=COMMAND, with KIND one of {', '.join(KINDS)}.")
    return Other(kind=kind, command=command)


def start_other(stage: Stage, other: Other, flags: Sequence[str] = ()) -> float:
    """Starts the command. Returns the time of the start. flags: of one case of calls.py."""
    return stage.prepare([], program=words_of(stage, other, flags), variables=variables_of(stage)).begin()


def words_of(stage: Stage, other: Other, flags: Sequence[str]) -> list[str]:
    plain = stage.folder / "config.yaml"
    plain.write_text("version: v1\n")
    replaced = {
        "{node}": NODE,
        "{socket}": str(stage.kubelet.socket),
        "{driver}": str(stage.folder / "driver"),
        "{config}": flags[1] if flags else str(plain),
    }
    command = other.command
    for name, value in replaced.items():
        command = command.replace(name, value)
    return ["sh", "-c", f"exec {command}"]


def variables_of(stage: Stage) -> dict[str, str]:
    libraries = stage.folder / "driver/usr/lib64"
    return {"DEVICE_PLUGINS": str(stage.kubelet.directory), "LD_LIBRARY_PATH": str(libraries), "MIG_STRATEGY": "none"}


def measure_plugin(bench: Bench, other: Other, *, runs: int, calls: int, rest: float) -> dict[str, list[float]]:
    """Returns start to Register, memory and CPU time at rest, and the calls."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        with open_stage(bench) as stage:
            began = start_other(stage, other)
            registered = stage.wait(lambda: GPU in stage.kubelet.registered)
            found.setdefault("register gpu-device-plugin", []).append(registered - began)
            time.sleep(SETTLE_SECONDS)
            pids = find_descendants(stage.processes[0].pid)
            cpu, wakeups = measure_idle(pids, rest)
            found.setdefault("pss gpu-device-plugin", []).append(sum(map(read_pss, pids)))
            found.setdefault("cpu gpu-device-plugin", []).append(cpu)
            found.setdefault("wakeups gpu-device-plugin", []).append(wakeups)
    has_config = "{config}" in other.command
    return found | measure_calls(
        bench, calls, lambda stage, flags: start_other(stage, other, flags), has_sharing=has_config
    )


def measure_oneshot(bench: Bench, other: Other, runs: int) -> dict[str, list[float]]:
    with open_stage(bench) as stage:
        times = []
        for _ in range(runs):
            words = words_of(stage, other, ())
            times.append(run_once(stage, [], program=words, variables=variables_of(stage)))
        return {ONESHOT[other.kind]: times}


def measure_other(bench: Bench, other: Other, *, runs: int, calls: int, rest: float) -> Mapping[str, Sequence[float]]:
    """Raises SystemExit if the program does not exist."""
    if shutil.which(other.command.split()[0]) is None:
        raise SystemExit(f"--against: {other.command.split()[0]} is not a program")
    if other.kind == "plugin":
        return measure_plugin(bench, other, runs=runs, calls=calls, rest=rest)
    return measure_oneshot(bench, other, runs)
