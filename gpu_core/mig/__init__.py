"""MIG layouts: what a GPU can be divided into, what a configuration requests, and the plan from one to the other. PURE.

`mig_manager`, `gpunode mig` and tests use the same modules. Reading and changing a real GPU is in `gpu_core.nvml`.
"""
