"""A node with a simulated containerd: its files are real, its process is an object. A change can be killed before each of its steps."""

import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gpu_toolkit.changer import Changer
from gpu_toolkit.edits import TABLES
from gpu_toolkit.host import Host
from gpu_toolkit.journal import Journal, Record
from gpu_toolkit.model import Cdi, Process, Runtime
from gpu_toolkit.nvidia_runtime import install, uninstall
from gpu_toolkit.restart import Restart
from gpu_toolkit.toml_edit import read_table
from gpu_toolkit.tools import Tools
from node_core.errors import HostCommandError, RuntimeConfigError
from node_core.kubelet.cri import RunningContainer

CONFIGS = Path(__file__).parent / "configs"
CONFIG = "/etc/containerd/config.toml"
IMPORTING = """version = 3
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins."io.containerd.cri.v1.runtime"]
enable_cdi = false
restrict_oom_score_adj = true
"""
INSTALLED = "/usr/local/nvidia/toolkit"
DROP_IN = "/etc/containerd/conf.d/99-gpunode.toml"


class Killed(BaseException):
    """The process ends at once. No `except` clause of the product catches this exception."""


@dataclass
class Place:
    """root: `/` of the host. dies_with: whether containerd does not start with a config. kills_at: the number of the step that is not made.

    loses: the containers that a restart ends. restart_kills: whether a restart ends also the process that asks for it.
    """

    root: Path
    version: str = "2.1.9"
    config: str = CONFIG
    dies_with: Callable[[Mapping[str, Any]], bool] = lambda _: False
    kills_at: int = 0
    has_restart: bool = True
    loses: frozenset[str] = frozenset()
    restart_error: str = ""
    restart_kills: bool = False
    settings: str = ""
    running: dict[str, Any] = field(default_factory=dict)
    containers: set[str] = field(default_factory=lambda: {"a", "b"})
    restarts: int = 0
    steps: int = 0
    now: float = 1000.0
    is_dead: bool = False

    def __post_init__(self) -> None:
        self.host = Host(self.root)
        self.start()

    def write(self, text: str | bytes, path: str = "") -> None:
        file = self.root / (path or self.config).lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def files(self) -> dict[str, bytes | None]:
        """Each file and folder below /etc and /var/lib/rancher, with its content."""
        found = (each for top in ("etc", "var", "usr/local/nvidia") for each in (self.root / top).rglob("*"))
        return {str(each.relative_to(self.root)): None if each.is_dir() else each.read_bytes() for each in found}

    def start(self) -> None:
        self.restarts += 1
        self.running = self.effective()
        self.is_dead = self.dies_with(self.running)

    def effective(self) -> dict[str, Any]:
        """The config that containerd would start with."""
        version = 2 if self.version.startswith("1.") else 3
        base = {"version": version, **tomllib.loads((self.host.read(self.config) or b"").decode())}
        for glob in base.get("imports", ()):
            folder, _, _ = glob.rpartition("/")
            for name in self.host.names(folder):
                if name.endswith(".toml"):
                    base = self._merge(base, tomllib.loads((self.host.read(f"{folder}/{name}") or b"").decode()))
        return base

    def _merge(self, base: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """containerd 1 replaces each plugin, and containerd 2.1 merges them."""
        if self.version.startswith("1."):
            return {**base, "plugins": {**base.get("plugins", {}), **new.get("plugins", {})}}
        return _deep_merge(base, new)

    def read(self) -> Runtime:
        if self.is_dead:
            raise RuntimeConfigError("the container runtime did not answer")
        table = next((found for each in TABLES.values() if (found := read_table(self.running, each))), {})
        default = not self.version.startswith("1.")
        return Runtime(
            name="containerd",
            version=self.version,
            socket="/run/containerd/containerd.sock",
            config=self.config,
            handlers=frozenset(read_table(table, ("containerd", "runtimes"))),
            cdi=Cdi(
                is_enabled=None if self.version.startswith("1.6") else table.get("enable_cdi", default),
                folders=tuple(table.get("cdi_spec_dirs", ("/etc/cdi", "/var/run/cdi"))),
            ),
            process=Process(identity=str(self.restarts), command=("containerd",), program="/usr/bin/containerd"),
        )

    def dump(self, _: Runtime) -> Mapping[str, Any]:
        try:
            return self.effective()
        except tomllib.TOMLDecodeError as error:
            raise RuntimeConfigError(f"containerd config dump: {error}") from error

    def restart(self, _: Runtime | None) -> None:
        self.step()
        if self.restart_error:
            raise HostCommandError(self.restart_error)
        self.start()
        self.containers -= self.loses
        if self.restart_kills:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.kills_at:
            raise Killed

    def changer(self, *, drop_in: str | None = None, source: Path | None = None) -> Changer:
        """A new process: what the previous one knew is gone. source: of NVIDIA's runtime."""
        return Changer(
            Tools(
                host=KillableHost(self.root, self.step),
                read=self.read,
                dump=self.dump,
                restart=Restart(
                    command=self.restart if self.has_restart else None,
                    read=self.read,
                    running=lambda: tuple(
                        RunningContainer(id=each, created_at=0.0) for each in sorted(self.containers)
                    ),
                    clock=lambda: self.now,
                    wall=lambda: self.now,
                    sleep=self.sleep,
                ),
                journal=KillableJournal(self.root / "state", self.step),
                folder="/var/run/cdi",
                drop_in=drop_in,
                settings=self.settings,
                nvidia=None if source is None else INSTALLED,
                install=lambda target: self._install(source or Path(), target),
                uninstall=partial(uninstall, self.host),
            )
        )

    def _install(self, source: Path, target: str) -> None:
        self.step()
        install(self.host, source, target, "/")

    @property
    def record(self) -> Record:
        return Journal(self.root / "state").read()


@dataclass(frozen=True)
class KillableHost(Host):
    step: Callable[[], None] = lambda: None

    def write(self, host_path: str, content: bytes) -> None:
        self.step()
        super().write(host_path, content)

    def remove(self, host_path: str) -> None:
        self.step()
        super().remove(host_path)

    def make_folder(self, host_path: str) -> None:
        self.step()
        super().make_folder(host_path)

    def remove_folder(self, host_path: str) -> None:
        self.step()
        super().remove_folder(host_path)


class KillableJournal(Journal):
    def __init__(self, folder: Path, step: Callable[[], None]) -> None:
        super().__init__(folder)
        self._step = step

    def write(self, record: Record) -> None:
        self._step()
        super().write(record)


def _deep_merge(base: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = deepcopy(base)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _deep_merge(merged[key], value) if both else value
    return merged
