"""The verb `gpunode nodes`: the GPU nodes of the cluster, one line a node."""
