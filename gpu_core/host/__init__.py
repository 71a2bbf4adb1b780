"""Reads the NVIDIA driver's files, libraries, device nodes and kernel log on a node, including the layouts of Tegra and WSL."""
