"""The state file of an MPS folder: the daemon that the plugin started, and the original compute modes.

The next process discovers the daemon through this file, so the file contains the whole state.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gpu_core.domain.resources import ResourceName
from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsError, MpsFolder
from node_core.host.atomic_write import write_atomically

NAME = ".gpunode"


def discover_folders(root: Path) -> Iterator[ResourceName]:
    """Yields the resources with a state file below the MPS root; none if the root cannot be read."""
    for path in sorted(root.glob(f"*/*/{NAME}")):
        yield ResourceName(f"{path.parent.parent.name}/{path.parent.name}")


def read_state(folder: MpsFolder) -> MpsState | None:
    """Returns None if there is no file: the plugin owns nothing in the folder. Raises MpsError if the file cannot be read."""
    path = folder.base / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=MpsState)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MpsError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return MpsState(is_damaged=True)


def write_state(folder: MpsFolder, state: MpsState) -> None:
    """Writes the state file. Raises MpsError; the file is then unchanged."""
    path = folder.base / NAME
    try:
        write_atomically(path, msgspec.json.encode(state).decode())
    except OSError as error:
        raise MpsError(f"cannot write {path}: {error.strerror}", hint="free disk space there") from error


def remove_state(folder: MpsFolder) -> None:
    """Removes the state file. Raises MpsError."""
    path = folder.base / NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise MpsError(f"cannot remove {path}: {error.strerror}") from error
