"""A real Kubernetes cluster with one Node on this machine, for tests. Its programs are built from pinned sources and use local addresses.

`up` starts the cluster, `attach` returns the running cluster, `down` removes it. Pods reach the API server by its service address.
The cluster has no kube-proxy (and so no other Services), no DNS and no route to other machines. image.py builds the images.
"""

from tests.e2e.cluster.cluster import Cluster, attach
from tests.e2e.cluster.life import down, up

__all__ = ["Cluster", "attach", "down", "up"]
