"""`gpunode topo`: the links between the GPUs of a node, and the GPUs that a container would get."""
