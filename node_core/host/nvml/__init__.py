"""NVML, NVIDIA's management library.

`api`: what we ask of it. `real`: asks the library through pynvml. `inventory`: reads a whole node. `state`: what its GPUs say of their
health. `events`: what NVML tells by itself. `source`: the inventory with a deadline.
"""
