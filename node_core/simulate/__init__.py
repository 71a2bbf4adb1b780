"""Stand-ins that ship and say so: NVML from a scenario file, a kubelet, a small API server."""
