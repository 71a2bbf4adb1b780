"""How a node's GPUs are found, by the kind of machine and by what the settings ask for.

`strategy`: chooses. `platform`: the kind of machine. `tegra`: through CUDA, where an SoC has no NVML. `vfio`: GPUs that virtual machines
are given, which no driver here knows. NVML has a package of its own.
"""
