"""The names of the driver in the API of Kubernetes. NVIDIA's DRA driver has the same names."""

from gpu_core.pods.device_names import DRA_DRIVER

DRIVER = DRA_DRIVER
"""The driver in ResourceSlices, in allocations and in opaque configs, and the name with which it registers at the kubelet."""
