"""`gpunode why`: what prevents a pod from running, node by node, and the smallest change that would place it.

explain.py is the entry for other commands. command.py, find.py and snapshot.py read the cluster; all other modules are pure.
"""
