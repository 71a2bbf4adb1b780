"""gfd: labels the node with the properties of its GPUs, which NVML reports, as GPU Feature Discovery does."""
