"""The simulated kube-scheduler. `placement` and `affinity` are pure; `scheduler` writes to the simulated API server."""
