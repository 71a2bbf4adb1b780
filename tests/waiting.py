"""Waits for a result of another thread or process."""

import time
from collections.abc import Callable
from typing import Any

TIMEOUT_SECONDS = 60.0
"""Shorter than pytest's timeout, whose message has less information. Passing tests do not depend on this value."""


def until(true: Callable[[], Any], why: Callable[[], object] = lambda: "") -> None:
    """Returns when the condition is true. why: returns more information for the message of a timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"timeout {why()}".strip()
        time.sleep(0.005)
