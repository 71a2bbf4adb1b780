"""A real Kubernetes cluster of one Node on this machine, for tests: built from pinned sources, all of it on this machine's own addresses.

`up` brings it up, `attach` finds the one that runs, `down` leaves nothing behind. Pods reach the API server by its service address.
There is no kube-proxy (so no other Service), no DNS, and no way out of the machine; images come from image.py, not from a registry.
"""

from tests.e2e.cluster.cluster import Cluster, attach
from tests.e2e.cluster.life import down, up

__all__ = ["Cluster", "attach", "down", "up"]
