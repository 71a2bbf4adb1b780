"""Labels the node with GPU facts from NVML, as GPU Feature Discovery does."""
