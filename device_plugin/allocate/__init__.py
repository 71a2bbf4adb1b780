"""Selects the devices of a container and builds the response to Allocate. PURE."""
