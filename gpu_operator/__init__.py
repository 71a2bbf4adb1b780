"""gpu-operator: the controller of a cluster's drivers. Makes DaemonSets of drivers from NVIDIADriver objects, and upgrades drivers.

`watch` observes the cluster, `plan` decides from a frozen view, `apply` writes. `upgrade` plans and applies the upgrades of drivers.
"""
