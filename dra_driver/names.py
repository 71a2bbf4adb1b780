"""The name of the agent, and that of the driver in the API of Kubernetes, which is the same as that of NVIDIA's DRA driver."""

from gpu_core.pods.device_names import DRA_DRIVER

AGENT = "gpu-dra-driver"
DRIVER = DRA_DRIVER
"""The driver in ResourceSlices, in allocations and in opaque configs, and the name with which it registers at the kubelet."""
