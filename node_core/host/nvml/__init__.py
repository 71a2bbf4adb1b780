"""NVML, NVIDIA's management library.

`api`: what we ask of it. `real`: asks the library through pynvml. `inventory`: reads a whole node.
"""
