"""Runs the queries of one GPU, and collects what fails: a failed query costs its own value alone."""

from collections.abc import Callable, Hashable
from typing import TypeVar

from gpu_core.nvml.api import ABSENT
from gpu_core.nvml.state import LOST
from node_core.errors import NvmlError

Result = TypeVar("Result")


class GpuQueries:
    """unsupported: the keys of queries that the GPU or the driver does not support, which are not repeated.

    errors: the failed queries by NVML function, without unsupported ones.
    """

    def __init__(self, unsupported: set[Hashable] | None = None) -> None:
        self.unsupported: set[Hashable] = set() if unsupported is None else unsupported
        self.is_lost = False
        self.errors: dict[str, NvmlError] = {}

    def query(self, key: Hashable, query: Callable[[], Result]) -> Result | None:
        """The result of a query; None if it fails. A lost GPU gets no further queries, because each may take long."""
        if self.is_lost or key in self.unsupported:
            return None
        try:
            return query()
        except NvmlError as error:
            self.record(key, error)
            return None

    def record(self, key: Hashable, error: NvmlError) -> None:
        """Records the error of a query, or of one value of a query."""
        self.is_lost |= error.code in LOST
        if error.code in ABSENT:
            self.unsupported.add(key)
        else:
            self.errors.setdefault(error.call, error)

    @property
    def fault(self) -> str | None:
        """The first failed query, as a sentence."""
        return next((str(error) for error in self.errors.values()), None)
