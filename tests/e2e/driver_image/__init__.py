"""A driver image for tests, which simulates a driver: `nvidia-driver` and `nvidia-smi` are scripts, the library is that of tests/nvml."""
