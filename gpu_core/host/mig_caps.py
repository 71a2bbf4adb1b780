"""The capability device nodes that a MIG device needs in addition to the node of its GPU.

Source: NVIDIA MIG User Guide, device nodes and capabilities. `/proc/driver/nvidia-caps/mig-minors` has a line of `<name> <minor>` for each
capability: `config 1`, `gpu0/gi1/access 12`, `gpu0/gi1/ci0/access 13`.
"""

import re
from collections.abc import Mapping

import msgspec

from node_core.host.root import HostRoot

MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"
MONITOR = "monitor"
"""The capability that shows all MIG devices of a GPU to a container."""
_LINE = re.compile(r"([\w/]{1,80}) +(\d{1,7})")


class MigCaps(msgspec.Struct, frozen=True, kw_only=True):
    """minors: name of a capability -> N of /dev/nvidia-caps/nvidia-capN."""

    minors: Mapping[str, int] = msgspec.field(default_factory=dict)

    def node(self, capability: str) -> str | None:
        """The path of a capability's device node; None for an unknown capability."""
        minor = self.minors.get(capability)
        return None if minor is None else f"/dev/nvidia-caps/nvidia-cap{minor}"


def mig_capabilities(gpu_minor: int, gpu_instance: int, compute_instance: int) -> tuple[str, str]:
    """The two capabilities that a MIG device needs. gpu_minor: N of /dev/nvidiaN, which may differ from NVML's index."""
    instance = f"gpu{gpu_minor}/gi{gpu_instance}"
    return f"{instance}/access", f"{instance}/ci{compute_instance}/access"


def parse_mig_minors(text: str) -> MigCaps:
    """Parses mig-minors. Ignores lines of another form."""
    lines = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return MigCaps(minors={line[1]: int(line[2]) for line in lines if line})


def read_mig_caps(root: HostRoot) -> MigCaps:
    """Reads the capabilities; empty without a driver that supports MIG. Raises HostReadError."""
    return parse_mig_minors(root.text(MIG_MINORS) or "")
