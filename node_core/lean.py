"""A small start for programs that run on every node. To be imported before anything else; `settle` follows the last import.

- Collecting garbage while modules are imported finds none, and took a twelfth of the start.
- structlog draws tracebacks with rich wherever that is installed. Agents log lines; rich is for people at a terminal, and took a tenth of
  the start and 3.6 MiB. While structlog is imported, rich cannot be: None in sys.modules is Python's word for that.
"""

import gc
import sys

gc.disable()
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog as _  # noqa: F401

    del sys.modules["rich"]


def settle() -> None:
    """What is imported stays, so collections need not look at it again."""
    gc.freeze()
    gc.enable()
