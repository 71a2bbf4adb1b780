"""The connection with the host: programs, units, and settings."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gpu_toolkit.__main__ import command, parse
from gpu_toolkit.build import RESTART_SECONDS, NoRuntimeError, build_changer, dump_config, used_socket
from gpu_toolkit.discover import Choices
from gpu_toolkit.host import Host
from gpu_toolkit.model import Process, Runtime
from gpu_toolkit.nvidia_runtime import NEEDED
from gpu_toolkit.settings import ToolkitSettings, toolkit_settings
from node_core.errors import HostCommandError, RuntimeConfigError, SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.readiness import STUCK_AFTER
from node_core.values import replace
from tests.roots.drivers.layout import lay_out

RUNTIME = Runtime(
    name="containerd", version="2.1", socket="/s", config="/etc/c.toml", cdi=None,
    process=Process(identity="1", command=("containerd",), program="/usr/bin/containerd", unit="containerd.service"),
)  # fmt: skip


class Calls:
    def __init__(self, output: str = "", error: HostCommandError | None = None) -> None:
        self.made: list[tuple[str, ...]] = []
        self.output, self.error = output, error

    def __call__(self, arguments: tuple[str, ...], **_: Any) -> str:
        self.made.append(tuple(arguments))
        if self.error is not None:
            raise self.error
        return self.output


def settings(*flags: str) -> ToolkitSettings:
    return toolkit_settings(parse_command(command, flags, "gpu-toolkit") or {})


def test_the_dump_asks_the_program_of_the_process_with_its_config() -> None:
    run = Calls("version = 3\n")
    assert dump_config(run, RUNTIME) == {"version": 3}
    assert run.made == [("/usr/bin/containerd", "--config", "/etc/c.toml", "config", "dump")]


def test_the_default_config_file_may_be_missing() -> None:
    run = Calls()
    dump_config(run, replace(RUNTIME, config="/etc/containerd/config.toml"))
    assert run.made == [("/usr/bin/containerd", "config", "dump")]


def test_without_a_visible_process_nothing_can_be_checked() -> None:
    with pytest.raises(RuntimeConfigError, match="hostPID"):
        dump_config(Calls(), replace(RUNTIME, process=None))
    with pytest.raises(RuntimeConfigError, match="status 1"):
        dump_config(Calls(error=HostCommandError("containerd, status 1")), RUNTIME)


def test_the_unit_of_the_process_is_restarted_also_when_it_is_down(tmp_path: Path) -> None:
    run = Calls()
    restart = build_changer(settings("--state-dir", str(tmp_path)), tmp_path, run)._tools.restart.command
    assert restart is not None
    restart(RUNTIME)
    restart(None)
    assert run.made == [("systemctl", "restart", "containerd.service")] * 2


def test_a_change_that_waits_is_not_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet would restart the container in the middle of the change."""
    steps: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda _: steps.append("sleep"))
    run = Calls()
    changer = build_changer(settings(), tmp_path, run, beat=lambda: steps.append("beat"))
    restart = changer._tools.restart
    assert restart.command is not None
    restart.command(RUNTIME)
    restart.sleep(0.5)
    assert steps == ["beat", "beat", "sleep"]
    assert RESTART_SECONDS < STUCK_AFTER


def test_a_process_without_a_unit_needs_a_command(tmp_path: Path) -> None:
    run = Calls()
    restart = build_changer(settings(), tmp_path, run)._tools.restart.command
    assert restart is not None
    with pytest.raises(HostCommandError, match="is not a systemd unit"):
        restart(replace(RUNTIME, process=None))
    flags = ("--runtime-restart-mode=command", "--runtime-restart-command=sv restart 'my runtime'")
    restart = build_changer(settings(*flags), tmp_path, run)._tools.restart.command
    assert restart is not None
    restart(None)
    assert run.made == [("sv", "restart", "my runtime")]
    assert build_changer(settings("--runtime-restart-mode=none"), tmp_path, run)._tools.restart.command is None


@pytest.mark.parametrize(
    "flags",
    [
        ("--runtime-restart-mode=command",),
        ("--runtime-restart-command=x",),
        ("--runtime-restart-mode=signal",),
        ("--runtime-config=etc/c.toml",),
        ("--runtime-restart-command='",),
        ("--cdi-dir=run/cdi",),
    ],
)
def test_wrong_settings_are_refused(flags: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        settings(*flags)


def test_the_names_of_nvidias_toolkit_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RUNTIME": "containerd", "RUNTIME_CONFIG": "/c", "RUNTIME_SOCKET": "unix:///s", "RUNTIME_DROP_IN_CONFIG": "/d",
        "RUNTIME_RESTART_MODE": "none", "CDI_ENABLED": "true", "RUNTIME_CONFIG_SOURCE": "command",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    made = settings()
    assert (made.config, made.socket, made.drop_in, made.restart_mode) == ("/c", "/s", "/d", "none")


def test_the_config_of_nvidias_runtime_follows_the_driver(tmp_path: Path) -> None:
    source, host = tmp_path / "source", tmp_path / "host"
    for name in NEEDED:
        lay_out(source, f"/{name} program")
    host.mkdir()
    tools = build_changer(settings("--toolkit-source", str(source)), host)._tools
    assert tools.nvidia is not None
    config = host / tools.nvidia.lstrip("/") / ".config/nvidia-container-runtime/config.toml"
    tools.follow(tools.nvidia)
    assert not config.exists(), "nothing is installed"
    tools.install(tools.nvidia)

    def root() -> Any:
        tools.follow(tools.nvidia or "")
        return tomllib.loads(config.read_text())["nvidia-container-cli"]["root"]

    assert root() == "/"
    written = config.stat().st_ino
    assert root() == "/"
    assert config.stat().st_ino == written, "an equal config is not written"
    lay_out(host, "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1 library x86_64")
    assert root() == "/run/nvidia/driver"
    (host / "run/nvidia/driver/usr/lib64/libnvidia-ml.so.1").unlink()
    assert root() == "/"


def test_several_runtimes_without_a_kubelet_are_named(tmp_path: Path) -> None:
    with pytest.raises(NoRuntimeError, match="no container runtime"):
        used_socket(Host(tmp_path), Choices(), tmp_path / "proc")
    for name in ("run/crio/crio.sock", "run/containerd/containerd.sock"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(NoRuntimeError, match="several runtimes"):
        used_socket(Host(tmp_path), Choices(), tmp_path / "proc")


def test_the_agent_needs_a_node_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    with pytest.raises(SettingsError, match="--node-name"):
        parse([])
    assert parse(["--node-name=n1", "--kubeconfig=/none", "--http-address="]) is not None
