"""Processes that run as in their pods: a service account in their own mount namespace, a simulated API server and kubelet, and NVML.

The agents use a copy of the interpreter and of the packages, so they share no page with the measuring process or another Python. pynvml
loads a C library that has NVML's ABI. Needs root, a C compiler and Linux.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node_core.kubelet import deviceplugin_pb2 as pb
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from simulation.scenarios.scenario import load_scenario
from tests.nvml.build import build_library
from tests.nvml.scenario_lines import VARIABLE, render_lines
from tests.packages import PACKAGES

ROOT = Path(__file__).resolve().parent.parent
NODE = "bench"
PRESENT = {"nvidia.com/gpu.present": "true"}
POLL_SECONDS = 0.001
TIMEOUT_SECONDS = 60.0
EXCLUDED = shutil.ignore_patterns("__editable__*", "rich", "rich-*", "greenlet", "greenlet-*")
"""structlog imports rich and greenlet if they are installed. The image has neither."""
IN_A_POD = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$1"/token "$1"/ca.crt "$1"/namespace /run/secrets/kubernetes.io/serviceaccount/
if [ -n "$DEVICE_PLUGINS" ]; then
  mount -t tmpfs tmpfs /var/lib
  mkdir -p /var/lib/kubelet/device-plugins
  mount --bind "$DEVICE_PLUGINS" /var/lib/kubelet/device-plugins
fi
shift
echo ready
read _
exec "$@"
"""
"""Waits for a line before it executes the agent, so that the start-up time excludes the creation of the namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """python: an interpreter whose files no other process has mapped. path: PYTHONPATH of the packages and the product."""

    python: Path
    path: str

    def environment(self) -> dict[str, str]:
        home = self.python.parent.parent
        return {"PYTHONPATH": self.path, "PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}


def copy_python(folder: Path) -> Copy:
    """Copies the running interpreter, its standard library, the installed packages and the product, and compiles the product."""
    base, packages = Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / version
    python.parent.mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), python)
    ignored = shutil.ignore_patterns("test", "site-packages", "idlelib", "tkinter")
    shutil.copytree(base / "lib" / version, folder / "lib" / version, ignore=ignored)
    for library in (base / "lib").glob("libpython*"):
        shutil.copy2(library, folder / "lib" / library.name, follow_symlinks=True)
    shutil.copytree(packages, folder / "packages", symlinks=True, ignore=EXCLUDED)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / "product" / name)
    copy = Copy(python=python, path=f"{folder / 'product'}:{folder / 'packages'}")
    compiling = [str(python), "-m", "compileall", "-q", str(folder / "product"), str(folder / "packages")]
    subprocess.run(compiling, env=copy.environment(), check=False, stdout=subprocess.DEVNULL)
    return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all measurements share. library: a driver root with the C library."""

    folder: Path
    copy: Copy
    library: Path


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Raises SystemExit without root or a C compiler."""
    if os.geteuid() != 0:
        raise SystemExit("needs root to create a mount namespace with the files of the service account")
    if shutil.which("cc") is None:
        raise SystemExit("needs a C compiler: apt-get install gcc libc6-dev")
    with tempfile.TemporaryDirectory(prefix="gpunode-bench-") as name:
        folder = Path(name)
        build_library(folder / "driver")
        yield Bench(folder=folder, copy=copy_python(folder / "python"), library=folder / "driver")


class CountingKubelet(Kubelet):
    """A kubelet that counts registrations. registered: by resource."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.registered: dict[str, int] = {}

    def _register(self, request: pb.RegisterRequest) -> None:
        super()._register(request)
        self.registered[request.resource_name] = self.registered.get(request.resource_name, 0) + 1


@dataclass(slots=True, kw_only=True)
class Process:
    """A program in its pod. begin: starts the program, which waits until then."""

    popen: "subprocess.Popen[bytes]"
    log: Path

    def begin(self) -> float:
        """Returns the time of the start, in seconds of time.perf_counter."""
        assert self.popen.stdout is not None
        assert self.popen.stdin is not None
        self.popen.stdout.readline()
        started = time.perf_counter()
        self.popen.stdin.write(b"\n")
        self.popen.stdin.close()
        return started

    @property
    def pid(self) -> int:
        return self.popen.pid

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        self.popen.wait()


@dataclass(slots=True, kw_only=True)
class Stage:
    """A Node with its API server and kubelet, and the processes that run on it."""

    bench: Bench
    folder: Path
    server: ApiServer
    kubelet: CountingKubelet
    scenario: Path
    processes: list[Process] = field(default_factory=list)

    def prepare(
        self, words: Sequence[str], *, program: Sequence[str] | None = None, variables: dict[str, str] | None = None
    ) -> Process:
        """Creates the pod of a program. words: arguments of our interpreter. program: another program in place of our interpreter."""
        host, _, port = self.server.url.removeprefix("https://").partition(":")
        environment = {
            "PATH": os.environ["PATH"], VARIABLE: str(self.scenario), "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
            "NODE_NAME": NODE, **(self.bench.copy.environment() if program is None else {}), **(variables or {}),
        }  # fmt: skip
        command = [str(self.bench.copy.python)] if program is None else list(program)
        log = self.folder / f"log-{len(self.processes)}"
        popen = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", IN_A_POD, "sh", str(self.folder / "account"), *command, *words],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("wb"),
        )  # fmt: skip
        process = Process(popen=popen, log=log)
        self.processes.append(process)
        return process

    def flags(self, module: Sequence[str], *more: str) -> list[str]:
        """The arguments of one of our programs, without a kubeconfig: the program uses the service account."""
        flags = ["--node-name", NODE, "--lock-dir", "", "--http-address", "127.0.0.1:0", *more]
        if module[0] != "nfd_lite":
            flags += ["--driver-root-ctr-path", str(self.folder / "driver")]
        if module[0] in ("device_plugin", "gpunode"):
            flags += ["--kubelet-socket", str(self.kubelet.socket), "--cdi-dir", str(self.folder / "cdi")]
        return ["-m", *module, *flags]

    def start(self, module: Sequence[str], *more: str) -> float:
        """Starts one of our programs. Returns the time of the start."""
        return self.prepare(self.flags(module, *more)).begin()

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.server.store.get("nodes", NODE)["metadata"]["labels"])

    def wait(self, is_true: Callable[[], bool]) -> float:
        """Returns the time at which the condition became true. Raises SystemExit if a program has ended, or after the timeout."""
        deadline = time.perf_counter() + TIMEOUT_SECONDS
        while not is_true():
            if time.perf_counter() > deadline or any(each.popen.poll() for each in self.processes):
                logs = "\n".join(each.log.read_text()[-3000:] for each in self.processes)
                raise SystemExit(f"an agent ended, or did not finish in {TIMEOUT_SECONDS:.0f} s:\n{logs}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter()


@contextmanager
def open_stage(bench: Bench, scenario: str = "h100x8") -> Iterator[Stage]:
    """A new Node with simulated GPUs. scenario: a name or a file. Ends the processes at the end."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="stage-", dir=bench.folder)))
        shutil.copytree(bench.library, folder / "driver")
        lines = folder / "scenario.lines"
        lines.write_text(render_lines(load_scenario(scenario)))
        server = exits.enter_context(ApiServer())
        server.add_node(NODE, labels=PRESENT)
        kubelet = CountingKubelet(folder / "dp")
        node_agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        for component in (kubelet, node_agent):
            exits.callback(component.stop)
            component.start()
        (folder / "account").mkdir()
        for name, text in (("token", server.token), ("ca.crt", server.certificate), ("namespace", "gpunode")):
            (folder / "account" / name).write_text(text)
        stage = Stage(bench=bench, folder=folder, server=server, kubelet=kubelet, scenario=lines)
        try:
            yield stage
        finally:
            for process in stage.processes:
                process.end()
