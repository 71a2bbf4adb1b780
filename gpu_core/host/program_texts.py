"""Searches programs for texts. The programs are never run."""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from gpu_core.host.elf import open_nonblocking

LIMIT = 256 << 20
"""Bytes. Programs that are larger are read only up to this limit."""
_CHUNK = 1 << 18


def find_texts(path: Path, texts: Collection[bytes], *, limit: int = LIMIT) -> frozenset[bytes]:
    """Returns the texts that a regular file contains. Reads the file in pieces. Raises OSError.

    The file is read and not mapped: a process that maps a file dies if another process truncates the file.
    """
    missing = set(texts)
    overlap = max(map(len, texts), default=1) - 1
    with open(path, "rb", buffering=0, opener=open_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return frozenset()
        window = b""
        while missing and limit > 0 and (piece := file.read(min(_CHUNK, limit))):
            limit -= len(piece)
            window = window[max(0, len(window) - overlap) :] + piece
            missing -= {text for text in missing if text in window}
    return frozenset(texts) - missing
