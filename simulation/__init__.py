"""Simulated GPUs, kubelet, API server and scheduler, for `--simulate`, the demo and tests.

`scenarios` describes nodes with GPUs; `nvml` simulates the NVML library of such a node; `node` gives both to the agents. `apiserver`,
`kubelet` and `scheduler` simulate a cluster of one machine.
"""
