"""NVIDIA's MPS programs and the folder that a daemon works in.

`nvidia-cuda-mps-control -f` is the daemon in the foreground; without arguments the same program is its client, which takes commands on
standard input. Both find each other by CUDA_MPS_PIPE_DIRECTORY.
"""

import os
import subprocess  # nosec B404 # the driver's MPS program alone
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node_core.errors import NodeError

PROGRAM = "nvidia-cuda-mps-control"
COMMAND_SECONDS = 5.0
SELINUX_LABEL = b"system_u:object_r:container_file_t:s0"


class MpsError(NodeError):
    """MPS cannot be had on this node just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsFolder:
    """One resource's folder below the MPS root. has_selinux: containers may enter only what is labelled for them."""

    base: Path
    has_selinux: bool = False

    @property
    def pipe(self) -> Path:
        return self.base / "pipe"

    @property
    def log(self) -> Path:
        return self.base / "log"

    @property
    def shm(self) -> Path:
        """Shared by the daemons of all resources and their clients. Its name is two parts above ours: `nvidia.com/gpu`."""
        return self.base.parent.parent / "shm"

    @property
    def state(self) -> Path:
        """Written by whoever of us started the daemon; a daemon without it is somebody else's."""
        return self.base / ".gpunode"

    def prepare(self) -> None:
        """Raises MpsError."""
        try:
            for folder in (self.pipe, self.log, self.shm):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.shm.chmod(0o1777)  # it is /dev/shm in containers of all users
            if self.has_selinux:
                os.setxattr(self.pipe, "security.selinux", SELINUX_LABEL)
        except OSError as error:
            raise MpsError(
                f"cannot make {self.base}: {error.strerror}", hint="check --mps-root and its mount"
            ) from error

    @property
    def environment(self) -> dict[str, str]:
        return {"CUDA_MPS_PIPE_DIRECTORY": str(self.pipe), "CUDA_MPS_LOG_DIRECTORY": str(self.log)}


class MpsControl:
    """program: full path, or None where the driver has none. libraries: a loader path for it, or None."""

    def __init__(self, program: Path | None, libraries: str | None = None) -> None:
        self._program = program
        self._libraries = {"LD_LIBRARY_PATH": libraries} if libraries else {}

    def start(self, folder: MpsFolder, visible: str) -> "subprocess.Popen[bytes]":
        """The daemon, as a child of ours. Raises MpsError."""
        try:
            return subprocess.Popen(  # nosec B603 # no shell, one fixed argument
                [self._path(), "-f"],
                env={**self._libraries, **folder.environment, "CUDA_VISIBLE_DEVICES": visible},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise MpsError(f"cannot start {self._program}: {error.strerror}") from error

    def command(self, folder: MpsFolder, text: str) -> str:
        """What the daemon answers. Raises MpsError: it is not there, refuses, or does not answer within COMMAND_SECONDS."""
        environment: Mapping[str, str] = {**self._libraries, **folder.environment}
        try:
            done = subprocess.run(  # nosec B603 # no shell, no arguments
                [self._path()],
                env=environment,
                input=f"{text}\n".encode(),
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MpsError(f"the MPS daemon of {folder.base} does not answer {text!r}") from error
        except OSError as error:
            raise MpsError(f"cannot start {self._program}: {error.strerror}") from error
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        if done.returncode != 0:
            raise MpsError(f"the MPS daemon of {folder.base} refused {text!r}: {said[:200] or done.returncode}")
        return said

    def is_serving(self, folder: MpsFolder) -> bool:
        try:
            self.command(folder, "get_default_active_thread_percentage")
        except MpsError:
            return False
        return True

    def _path(self) -> str:
        if self._program is None:
            raise MpsError(
                f"the driver has no {PROGRAM}", hint="mount the driver's root, or install the driver's MPS programs"
            )
        return str(self._program)
