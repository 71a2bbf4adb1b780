"""The fixtures of the tests of `gpunode nodes`."""

from tests.gpunode.nodes.conftest import kubeconfig, mixed, run, server

__all__ = ["kubeconfig", "mixed", "run", "server"]
