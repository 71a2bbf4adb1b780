"""Reduces the start-up time and the memory of a program, and handles its first signals. Each program imports this module first.

- A signal that arrives during the imports ends the program at once, without a traceback: see early_signals.
- This module disables the garbage collector: collections during imports find no garbage, but take a twelfth of the start-up time.
  `freeze_gc` enables the collector after the last import.
- structlog imports asyncio for methods that no agent calls. asyncio costs 7 MiB and 20 ms. While structlog is imported, a DeferredModule
  replaces asyncio.
"""

import gc
import importlib
import sys
from types import ModuleType
from typing import Any

from node_core.early_signals import handle_early_signals


class DeferredModule(ModuleType):
    """A placeholder that imports the real module at the first access to an attribute."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


handle_early_signals()
gc.disable()
if not sys.modules.keys() & {"structlog", "asyncio"}:
    sys.modules["asyncio"] = DeferredModule("asyncio")
    import structlog as _  # noqa: F401

    del sys.modules["asyncio"]


def freeze_gc() -> None:
    """Excludes all current objects, mainly modules, from garbage collection, and enables the garbage collector."""
    gc.freeze()
    gc.enable()
