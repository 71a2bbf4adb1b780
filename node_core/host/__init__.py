"""Reads and watches the host: files below a HostRoot, PCI, directories, uevents. This package makes no decisions."""
