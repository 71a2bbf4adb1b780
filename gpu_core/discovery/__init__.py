"""Discovers a node's GPUs.

`strategy`: chooses how, by the settings and the kind of machine. `tegra`: through CUDA, on an SoC without NVML. `vfio`: GPUs that are
passed through to virtual machines. The package `nvml` discovers all others.
"""
