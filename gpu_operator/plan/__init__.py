"""Decisions about the drivers of a cluster: which Node gets which driver, in which pool, and what the status of each object is. PURE."""
