"""Runs the queries of one GPU, and collects what fails: a failed query costs its own value alone."""

from collections.abc import Callable
from typing import TypeVar

from gpu_core.nvml.api import ABSENT
from gpu_core.nvml.state import LOST
from node_core.errors import NvmlError

Result = TypeVar("Result")


class GpuQueries:
    """errors: the failed queries by NVML function, without those that the GPU or the driver does not support."""

    def __init__(self) -> None:
        self.is_lost = False
        self.errors: dict[str, NvmlError] = {}

    def query(self, query: Callable[[], Result]) -> Result | None:
        """The result of a query; None if it fails. A lost GPU gets no further queries, because each may take long."""
        if self.is_lost:
            return None
        try:
            return query()
        except NvmlError as error:
            self.is_lost = error.code in LOST
            if error.code not in ABSENT:
                self.errors.setdefault(error.call, error)
            return None

    @property
    def fault(self) -> str | None:
        """The first failed query, as a sentence."""
        return next((str(error) for error in self.errors.values()), None)
