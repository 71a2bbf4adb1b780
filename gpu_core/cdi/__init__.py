"""Builds specifications of the Container Device Interface for a node's GPUs. PURE, except `roots.discover_*` and `write`."""
