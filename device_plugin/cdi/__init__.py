"""Specs of the Container Device Interface for a node's GPUs. PURE, but for `roots.find_*`, which look, and `write`."""
