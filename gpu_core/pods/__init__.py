"""The pods of the node and their devices: from the kubelet, its checkpoint and the cgroups of processes.

`cgroups`, `device_names` and `holders` are pure; `checkpoint` and `processes` read files.
"""
