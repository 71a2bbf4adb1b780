"""`gpunode toolkit`: shows whether the container runtime of this node injects CDI devices, and switches CDI on, with gpu-toolkit's code."""
