"""The id of the present boot. Source: random(4)."""

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id(path: Path = BOOT_ID) -> str:
    """Reads the boot id; empty if the kernel does not provide it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
