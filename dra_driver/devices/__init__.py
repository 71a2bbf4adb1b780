"""The allocatable devices of the node: full GPUs, MIG devices, and MIG devices that are created on demand. PURE: no input and output."""
