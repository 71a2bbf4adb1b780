"""gpu-driver-manager: prepares a node for the driver container of a driver pod, which starts after it."""
