"""The settings of GPU agents: NVIDIA's config file, and the flags that gfd and gpu-device-plugin share."""
