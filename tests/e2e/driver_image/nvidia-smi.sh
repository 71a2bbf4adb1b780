#!/bin/sh
# Stands in for nvidia-smi in a driver image for tests: succeeds while the simulated driver is mounted.
[ -e /run/nvidia/driver/dev/nvidiactl ] || { echo "SIMULATED nvidia-smi: no driver is mounted at /run/nvidia/driver" >&2; exit 9; }
echo "SIMULATED nvidia-smi: the driver is mounted at /run/nvidia/driver. Its GPUs do not exist."
