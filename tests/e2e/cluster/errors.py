"""The error of the test cluster."""

from node_core.errors import NodeError


class ClusterError(NodeError):
    """The test cluster cannot be built, started or stopped."""
