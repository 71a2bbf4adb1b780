"""Determines whether this machine is a Node. Source: Kubernetes API, NodeSystemInfo; random(4), machine-id(5)."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node_core.host.boot_id import read_boot_id

MACHINE_ID = Path("/etc/machine-id")


def is_this_machine(node: Mapping[str, Any], name: str, state: Path | None) -> bool:
    """Compares the boot ID and the machine ID. A boot ID is also that of the host in a container; a machine ID survives a boot.

    For a Node without a boot ID, the name of this machine or a lock file of the Node in the folder `state` is sufficient.
    """
    info = (node.get("status") or {}).get("nodeInfo") or {}
    if not info.get("bootID"):
        has_state = state is not None and any(state.glob(f"*.{name}.lock"))
        return has_state or socket.gethostname() == name
    own = (("bootID", read_boot_id()), ("machineID", _read_machine_id()))
    return any(value and info.get(key) == value for key, value in own)


def _read_machine_id() -> str:
    try:
        return MACHINE_ID.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
