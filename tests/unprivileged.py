"""Code without the rights of root, for tests of permissions that root does not need."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Runs the block as the user nobody if the tests run as root. The tests' `tmp_path` is not accessible in the block."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
