"""The names of the driver in the API of Kubernetes. NVIDIA's DRA driver has the same names."""

DRIVER = "gpu.nvidia.com"
"""The driver in ResourceSlices, in allocations and in opaque configs, and the name with which it registers at the kubelet."""
