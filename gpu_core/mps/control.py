"""Runs NVIDIA's MPS program in the folder of a daemon.

`nvidia-cuda-mps-control -f` runs the daemon in the foreground. Without arguments the same program is the client, which reads commands from
standard input. CUDA_MPS_PIPE_DIRECTORY connects the client to its daemon.
"""

import os
import subprocess  # nosec B404 # the driver's MPS program alone
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpu_core.host.nvidia_smi import loader_path
from node_core.errors import NodeError

PROGRAM = "nvidia-cuda-mps-control"
COMMAND_SECONDS = 5.0
SELINUX_LABEL = b"system_u:object_r:container_file_t:s0"


class MpsError(NodeError):
    """MPS is not available on this node at present."""


class MpsFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of one resource below the MPS root. has_selinux: containers can only access folders with the container label."""

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
        """The folder in the MPS root that all its daemons share; `base` is `<MPS root>/nvidia.com/gpu`."""
        return self.base.parent.parent / "shm"

    def prepare(self) -> None:
        """Creates the folders. Raises MpsError."""
        try:
            for folder in (self.pipe, self.log, self.shm):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.shm.chmod(0o1777)  # mounted at /dev/shm in containers of all users
            if self.has_selinux:
                os.setxattr(self.pipe, "security.selinux", SELINUX_LABEL)
        except OSError as error:
            raise MpsError(
                f"cannot create {self.base}: {error.strerror}", hint="check --mps-root and its mount"
            ) from error

    @property
    def environment(self) -> dict[str, str]:
        return {"CUDA_MPS_PIPE_DIRECTORY": str(self.pipe), "CUDA_MPS_LOG_DIRECTORY": str(self.log)}


@dataclass(frozen=True, slots=True)
class MpsControl:
    """program: the full path; None if the driver does not contain the program. libraries: its loader path, or None."""

    program: Path | None
    libraries: str | None = None

    def start(self, folder: MpsFolder, visible: str) -> int:
        """Starts the daemon and returns its pid. The daemon is a child process that can outlive this process. Raises MpsError."""
        try:
            child = subprocess.Popen(  # nosec B603 # no shell, one fixed argument
                [self._path(), "-f"],
                env={**loader_path(self.libraries), **folder.environment, "CUDA_VISIBLE_DEVICES": visible},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise MpsError(f"cannot start {self.program}: {error.strerror}") from error
        child.returncode = 0  # DaemonProcess waits for the pid; this object must not
        return child.pid

    def command(self, folder: MpsFolder, text: str) -> str:
        """Sends a command and returns the output. Raises MpsError if no daemon runs, or the daemon refuses or does not respond in time."""
        environment: Mapping[str, str] = {**loader_path(self.libraries), **folder.environment}
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
            raise MpsError(f"the MPS daemon of {folder.base} does not respond to {text!r}") from error
        except OSError as error:
            raise MpsError(f"cannot start {self.program}: {error.strerror}") from error
        output = (done.stdout or done.stderr).decode(errors="replace").strip()
        if done.returncode != 0:
            raise MpsError(f"the MPS daemon of {folder.base} refused {text!r}: {output[:200] or done.returncode}")
        return output

    def is_serving(self, folder: MpsFolder) -> bool:
        try:
            self.command(folder, "get_default_active_thread_percentage")
        except MpsError:
            return False
        return True

    def _path(self) -> str:
        if self.program is None:
            raise MpsError(
                f"the driver does not contain {PROGRAM}",
                hint="mount the driver root, or install the driver's MPS programs",
            )
        return str(self.program)
