"""The DaemonSets of drivers. PURE. Source: NVIDIA GPU Operator documentation, GPU driver container documentation."""
