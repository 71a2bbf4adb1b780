"""The checks of gpu-dra-driver on the node on which doctor runs.

Only `driver` and `presence` are imported on every node. The others import the driver, and run only where `presence` finds it.
"""
