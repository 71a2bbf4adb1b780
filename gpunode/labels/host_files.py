"""Which files of the host a collector reads, for sources that name several files."""

from dataclasses import dataclass, field

from nfd_lite.sources import ALL, Host, SourceSettings
from nfd_lite.sources.api import ScanCache, ScanContext
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.values import replace

ALTERNATIVES = ("kernel.config", "system.osrelease")
"""The collectors that use the first of several files."""
PROCESSOR = "the processor"
"""The start of the declared source of labels that describe the processor, which is read in one of several ways."""
METHODS = {
    "cpuid instruction": "the CPUID instruction",
    "cpuid device": "/dev/cpu/0/cpuid",
    "/proc/cpuinfo": "/proc/cpuinfo",
    "hwcap": "AT_HWCAP and /proc/cpuinfo",
}
"""CpuInfo.method -> source."""


@dataclass(frozen=True, slots=True)
class RecordingRoot(HostRoot):
    """Records the files that were read, in order. Files that are missing are not recorded."""

    files: list[str] = field(default_factory=list)

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        content = HostRoot.read(self, host_path, limit=limit)
        if content is not None:
            self.files.append(host_path)
        return content


def find_exact_source(name: str, declared: str, host: Host, settings: SourceSettings) -> str | None:
    """Returns the file, or the method, from which a collector has its values; None if the declared source is the best known."""
    try:
        if declared.startswith(PROCESSOR):
            return METHODS.get(host.cpu(host.root).method)
        if name in ALTERNATIVES:
            return next(reversed(_read_files(name, host, settings)), None)
    except HostReadError:
        return None
    return None


def _read_files(name: str, host: Host, settings: SourceSettings) -> list[str]:
    root = RecordingRoot(host.root.base)
    collector = next(each for each in ALL if each.name == name)
    collector.read(ScanContext(replace(host, root=root, cache=ScanCache()), settings))
    return root.files
