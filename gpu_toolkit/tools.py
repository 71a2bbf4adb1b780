"""What a change needs of the node: its files, its runtime, and the record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_toolkit.assess import assess
from gpu_toolkit.host import Host
from gpu_toolkit.journal import Journal
from gpu_toolkit.model import Assessment, Runtime
from gpu_toolkit.nvidia_runtime import RUNTIME
from gpu_toolkit.restart import Restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """read: the runtime that the kubelet uses. dump: the config that it would start with; both raise RuntimeConfigError.

    folder: of CDI specifications on the host. drop_in: the path that the user chose, or None. nvidia: the folder on the host in which
    `install` installs NVIDIA's runtime, or None; both raise RuntimeConfigError. settings: other settings on which a change depends.
    follow: gives an installed runtime the driver root of now.
    """

    host: Host
    read: Callable[[], Runtime]
    dump: Callable[[Runtime], Mapping[str, Any]]
    restart: Restart
    journal: Journal
    folder: str
    drop_in: str | None = None
    nvidia: str | None = None
    settings: str = ""
    install: Callable[[str], None] = lambda _: None
    follow: Callable[[str], None] = lambda _: None
    uninstall: Callable[[str], None] = lambda _: None

    def assess(self, runtime: Runtime) -> Assessment:
        return assess(runtime, self.folder, None if self.nvidia is None else f"{self.nvidia}/{RUNTIME}")
