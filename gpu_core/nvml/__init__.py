"""NVML, NVIDIA's management library.

`api`: the calls that this project uses. `real`: calls the library through pynvml. `inventory`: discovers the GPUs of a node. `state`: polls
the health of GPUs. `events`: waits for events. `source`: the inventory with a deadline.
"""
