"""gpu-operator as a process on this machine, which a scenario kills at any moment."""

import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.e2e.world import World

ROOT = Path(__file__).parents[2]
LEASE = "gpu-operator"


class OperatorProcess:
    """log: receives the output of all processes, one after another."""

    def __init__(self, world: World, namespace: str, log: IO[bytes]) -> None:
        self._world, self._namespace, self._log = world, namespace, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = (sys.executable, "-m", "gpu_operator", "--kubeconfig", str(self._world.kubeconfig))
        options = ("--operator-namespace", self._namespace, "--http-address", "")
        pods = ("--driver-manager-image", "example.com/gpunode:test", "--driver-service-account", "default")
        self._process = subprocess.Popen((*command, *options, *pods), cwd=ROOT, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        """Ends the process with SIGKILL. Its Lease is deleted: otherwise the next process waits until the Lease expires."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._world.kubectl("delete", "lease", LEASE, "-n", self._namespace, "--ignore-not-found")
