"""The pods of the node and their devices: from the kubelet, its checkpoint and the cgroups of processes.

`eviction` and `claimants` find the pods that must leave before a driver changes.

`cgroups`, `device_names`, `eviction` and `holders` are pure; `checkpoint` and `processes` read files, `claimants` reads ResourceClaims.
"""
