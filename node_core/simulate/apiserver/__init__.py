"""A stand-in for kube-apiserver on 127.0.0.1: enough of the Kubernetes API for our agents and for kubectl.

It says that it is one: in its version, in a response header, in each Node it makes. Objects live in memory. Everything but
`store`, `server`, `http`, `watching` and `machine` is pure.
"""

from node_core.simulate.apiserver.server import ApiServer

__all__ = ["ApiServer"]
