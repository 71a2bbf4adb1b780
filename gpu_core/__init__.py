"""NVIDIA GPUs on a node: discovery, NVML, the driver's files, and NVIDIA's config file. The agents share this package.

`domain`: values and decisions, without side effects. `nvml`, `discovery`, `host`: read the node. `settings`: NVIDIA's config file and the
flags that gfd and gpu-device-plugin share. `release`: closes NVML on request. `assembly`: wires an agent.
"""
