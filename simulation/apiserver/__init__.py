"""The simulated kube-apiserver on 127.0.0.1: the part of the Kubernetes API that our agents, kubectl and the tests need.

Its version, a response header and each of its Nodes state that the server is simulated. Objects are in memory. These parts of
Kubernetes are not simulated: dry runs, finalizers, deletion of collections, eviction, admission and authorization. All modules
are pure except `store`, `server`, `http`, `watch` and `node_object`.
"""

from simulation.apiserver.server import ApiServer

__all__ = ["ApiServer"]
