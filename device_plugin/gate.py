"""Whether this node's GPUs are to be served: the label that nfd-lite sets says so. Pure."""

from node_core.domain.labels import GPU_PRESENT, Labels

VALUE = "true"


def is_open(labels: Labels) -> bool:
    """Whether the Node's labels ask for its GPUs to be advertised."""
    return labels.get(GPU_PRESENT) == VALUE
