"""Resets GPUs, so that a pending MIG mode becomes active. Source: nvidia-smi(1), --gpu-reset.

A reset needs a GPU without users. So all agents of the node close NVML first, through the release request that `gpunode release` uses.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from subprocess import TimeoutExpired  # nosec B404 # only the error

import msgspec
import structlog

from gpu_core.host.driver_files import read_driver_files
from gpu_core.host.release_requests import FOLDER, write_request
from gpu_core.mig.model import MigGpu
from gpu_core.nvml.driver_version import find_module_version
from gpu_core.nvml.lock import list_holders
from node_core.errors import MigError
from node_core.host.limited_program import run_limited
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

REQUEST = "mig-manager"
REQUEST_SECONDS = 30.0
"""The request expires after this time if the process is killed."""
RENEW_SECONDS = 10.0
"""The process writes the request again after this time."""
RELEASE_SECONDS = 60.0
"""How long to wait until all agents have closed NVML, and until they may open it again."""
SMI_SECONDS = 120.0
RESET_SECONDS = SMI_SECONDS + 2 * RELEASE_SECONDS
"""How long `GpuReset.reset` takes at most."""
POLL_SECONDS = 0.05
SMI = "nvidia-smi"
MAX_OUTPUT = 400

RunReset = Callable[[Sequence[MigGpu]], None]
"""Resets GPUs that nobody uses. Raises MigError."""


class GpuReset(msgspec.Struct, frozen=True, kw_only=True):
    """is_released: whether this process may not open NVML. sleep: seconds. renew_seconds: see RENEW_SECONDS."""

    lock_dir: Path
    run: RunReset
    is_released: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    renew_seconds: float = RENEW_SECONDS

    def reset(self, gpus: Sequence[MigGpu]) -> None:
        """Closes NVML on the node, resets the GPUs, and opens NVML again. Raises MigError."""
        with self._request():
            if not self._wait(lambda: self.is_released() and not list_holders(self.lock_dir)):
                names = ", ".join(list_holders(self.lock_dir)) or "mig-manager"
                raise MigError(f"after {RELEASE_SECONDS:.0f} s these programs still have NVML open: {names}")
            self.run(gpus)
            log.info("gpus_reset", gpus=[gpu.name for gpu in gpus])

    @contextmanager
    def _request(self) -> Iterator[None]:
        """The release request exists within the block, and shortly after the end of a process that is killed. Raises MigError.

        After the block, waits until this process may open NVML again.
        """
        try:
            self._write()
        except OSError as error:
            raise MigError(f"cannot write the release request {self._path}: {error.strerror}") from error
        is_over = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(is_over,), name="mig-release", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            is_over.set()
            renewal.join()
            self.end()
            self._wait(lambda: not self.is_released())

    def _renew(self, is_over: threading.Event) -> None:
        while not is_over.wait(self.renew_seconds):
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        write_request(self._path.parent, self._path.name, REQUEST_SECONDS)

    @property
    def _path(self) -> Path:
        return self.lock_dir / FOLDER / REQUEST

    def end(self) -> None:
        """Ends the release, also that of a process that was killed during a reset."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _wait(self, is_reached: Callable[[], bool]) -> bool:
        """Returns False if the condition is not reached within RELEASE_SECONDS."""
        end = self.clock() + RELEASE_SECONDS
        while not (reached := is_reached()) and self.clock() < end:
            self.sleep(POLL_SECONDS)
        return reached


def refuse_reset(gpus: Sequence[MigGpu]) -> None:
    """Satisfies RunReset for --mig-skip-reset. Raises MigError."""
    names = ", ".join(gpu.name for gpu in gpus)
    raise MigError(
        f"the MIG mode of {names} needs a reset of the GPU", hint="remove --mig-skip-reset, or set the mode yourself"
    )


class SmiReset(msgspec.Struct, frozen=True, kw_only=True):
    """find: returns nvidia-smi, None if the driver does not contain it, and the loader path of its libraries."""

    find: Callable[[], tuple[Path | None, str]]

    def __call__(self, gpus: Sequence[MigGpu]) -> None:
        program, libraries = self.find()
        if program is None:
            raise MigError(
                "the driver does not contain nvidia-smi, so GPUs cannot be reset", hint="mount the driver root"
            )
        arguments = ["--gpu-reset", "-i", ",".join(gpu.address or gpu.uuid for gpu in gpus)]
        shown = f"nvidia-smi {' '.join(arguments)}"
        try:
            env = {"LD_LIBRARY_PATH": libraries} if libraries else {}
            done = run_limited([str(program), *arguments], env=env, seconds=SMI_SECONDS)
        except TimeoutExpired as error:
            raise MigError(f"{shown} did not end within {SMI_SECONDS:.0f} s") from error
        except OSError as error:
            raise MigError(f"cannot start {program}: {error.strerror}") from error
        if done.status != 0:
            raise MigError(f"{shown}: {(done.errors or done.output).strip()[:MAX_OUTPUT]}")


def find_smi(driver_root: Path, host: HostRoot, library_dirs: tuple[str, ...] = ()) -> tuple[Path | None, str]:
    """Finds nvidia-smi below the driver root, and the folders of the driver's libraries for LD_LIBRARY_PATH."""
    files = read_driver_files(driver_root, host, loaded=find_module_version(host), library_dirs=library_dirs)
    programs = (driver_root / file.path.lstrip("/") for file in files.binaries if PurePosixPath(file.path).name == SMI)
    folders = dict.fromkeys(str((driver_root / each.path.lstrip("/")).parent) for each in files.libraries)
    return next(programs, None), ":".join(folders)
