"""Removes NodeFeature and NodeResourceTopology objects of Nodes that do not exist any more, as nfd-gc does.

The objects of nfd-lite are owned by their Node, so Kubernetes removes them. Those of Node Feature Discovery are not.
"""
