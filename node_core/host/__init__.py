"""The only code that reads the node: files below a HostRoot, the CPU, and NVML. It decides nothing."""
