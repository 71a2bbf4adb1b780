"""The simulated NVML library: `gpu_core.nvml.api` for the GPUs of a scenario."""
