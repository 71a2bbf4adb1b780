"""The containerd of the cluster, which has no systemd: the command that restarts it asks a thread of the test."""

import contextlib
import threading
from collections.abc import Iterator

from tests.e2e.cluster import Cluster
from tests.e2e.cluster.commands import run
from tests.e2e.world import Runtime

POLL_S = 0.1
DROP_INS = "containerd.d"


class RealRuntime(Runtime):
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.config = cluster.layout.config("containerd.toml")
        self.restarts = 0
        self._request, self._failure = (cluster.run_dir / f"restart-containerd{end}" for end in ("", "-failed"))
        self.restart_command = f"sh -c 'touch {self._request}; while [ -e {self._request} ]; do sleep 0.1; done; test ! -e {self._failure}'"

    def restart(self) -> None:
        self._cluster.stop("containerd")
        self._cluster.start("containerd")

    @contextlib.contextmanager
    def serving(self, *, breaks: bool = False) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._serve, args=(ended, breaks))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            for file in (self._request, self._failure):
                file.unlink(missing_ok=True)

    def pid(self, container: str) -> int:
        ctr = str(self._cluster.layout.binaries / "ctr")
        listed = run(ctr, "-a", str(self._cluster.layout.containerd_socket), "-n", "k8s.io", "tasks", "list")
        tasks = dict(line.split()[:2] for line in listed.splitlines()[1:])
        return int(tasks[container.removeprefix("containerd://")])

    def _serve(self, ended: threading.Event, breaks: bool) -> None:
        while not ended.wait(POLL_S):
            if self._request.exists():
                self.restarts += 1
                self._failure.unlink(missing_ok=True)
                self._cluster.stop("containerd")
                if breaks and list(self.config.with_name(DROP_INS).glob("*.toml")):
                    self._failure.touch()
                else:
                    self._cluster.start("containerd")
                self._request.unlink()
