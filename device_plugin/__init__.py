"""Advertises GPUs to the kubelet, allocates them, watches their health."""
