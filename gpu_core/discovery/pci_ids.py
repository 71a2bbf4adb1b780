"""Reads names of PCI devices from the host's copy of the PCI ID repository (pci.ids(5), https://pci-ids.ucw.cz)."""

from collections.abc import Mapping

from node_core.host.root import HostRoot

PATHS = (
    "/usr/share/misc/pci.ids",
    "/usr/local/share/pci.ids",
    "/usr/share/hwdata/pci.ids",
    "/usr/share/pci.ids",
)
"""The first existing file is used."""
_MAX_FILE = 8 << 20


def read_device_names(root: HostRoot, vendor: str) -> Mapping[str, str]:
    """Device id -> name, of one vendor; ids as in `host.pci`. Empty if the host has no such file. Raises HostReadError."""
    contents = (root.read(path, limit=_MAX_FILE) for path in PATHS)
    content = next((content for content in contents if content is not None), b"")
    return parse_device_names(content.decode(errors="replace"), vendor)


def parse_device_names(text: str, vendor: str) -> dict[str, str]:
    """Parses pci.ids. A line of a vendor starts with its id, the lines of its devices with a tab, the lines of boards with two tabs."""
    names: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if not line.startswith(("\t", "#")) and line:
            inside = line.lower().startswith(f"{vendor} ")
        elif inside and line.startswith("\t") and not line.startswith("\t\t"):
            device, _, name = line.strip().partition(" ")
            names[device.lower()] = name.strip()
    return names
