"""PCI addresses."""

from typing import NewType

PciAddress = NewType("PciAddress", str)
"""domain:bus:device.function in lower-case hex, as sysfs writes it: `0000:0a:00.0`."""
