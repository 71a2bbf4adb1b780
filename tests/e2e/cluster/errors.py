"""What stops a cluster: one sentence that says what, where and what to do."""

from node_core.errors import NodeError


class ClusterError(NodeError):
    """The test cluster cannot be built, started or stopped."""
