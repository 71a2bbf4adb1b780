"""NVML, NVIDIA's management library.

`api`, `usage_api`: the calls that this project uses. `real`: calls the library through pynvml. `inventory`: discovers the GPUs of a node.
`state`: polls the health of GPUs. `usage`: reads the live use of a GPU. `events`: waits for events. `source`: the inventory with a
deadline.
"""
