"""Memory, CPU time and start-up time of the agents: of each agent, of the three agents, and of `gpunode run`.

    sudo .venv/bin/python benchmarks/memory.py [runs] [idle seconds]

Each agent runs as in its pod: with the token and the CA of a service account in its own mount namespace, with a simulated API server and
kubelet on this machine, and with pynvml and a C library that has NVML's ABI (eight H100). Needs root, a C compiler and Linux.

The agents use a copy of the interpreter and of the packages, so they share no page with this script or another Python.
Their proportional set size (Pss of /proc/PID/smaps_rollup) is their memory on a node. CPU time (schedstat) and voluntary context switches
are counted while nothing changes. The start-up time ends when the Node has the labels and the kubelet has the resources. Prints medians
with minimum and maximum.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from simulation.apiserver import ApiServer  # noqa: E402
from simulation.kubelet.kubelet import Kubelet  # noqa: E402
from simulation.kubelet.node_agent import NodeAgent  # noqa: E402
from simulation.kubelet.node_api import StoreNodeApi  # noqa: E402
from simulation.scenarios.scenario import load_scenario  # noqa: E402
from tests.nvml.build import build_library  # noqa: E402
from tests.nvml.scenario_lines import VARIABLE, render_lines  # noqa: E402
from tests.packages import PACKAGES  # noqa: E402

NODE = "bench"

STACKS: Mapping[str, Sequence[Sequence[str]]] = {
    "nfd-lite": (("nfd_lite",),),
    "gfd": (("gfd",),),
    "gpu-device-plugin": (("device_plugin",),),
    "the three": (("nfd_lite",), ("gfd",), ("device_plugin",)),
    "gpunode run": (("gpunode", "run"),),
}
SETTLE_SECONDS = 5.0
EXCLUDED = shutil.ignore_patterns("__editable__*", "rich", "rich-*")
"""structlog imports rich if rich is installed. The image does not have rich."""
IN_A_POD = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$1"/token "$1"/ca.crt "$1"/namespace /run/secrets/kubernetes.io/serviceaccount/
shift
echo ready
read _
exec "$@"
"""
"""Waits for a line before it executes the agent, so that the start-up time excludes the creation of the namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """start, start_cpu: start-up time and its CPU time in seconds. pss: MiB.

    cpu, wakeups: milliseconds and voluntary context switches per second while idle.
    """

    start: float
    start_cpu: float
    pss: float
    cpu: float
    wakeups: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """python: an interpreter whose files no other process has mapped. path: PYTHONPATH of the packages and the product."""

    python: Path
    path: str


def copy_python(folder: Path) -> Copy:
    """Copies the running interpreter, its standard library, the installed packages and the product."""
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
    return Copy(python=python, path=f"{folder / 'product'}:{folder / 'packages'}")


def command(module: Sequence[str], folder: Path, socket: Path) -> list[str]:
    """The arguments without a kubeconfig, so that an agent uses the service account."""
    flags = ["--node-name", NODE, "--lock-dir", "", "--http-address", "127.0.0.1:0"]
    if module[0] != "nfd_lite":
        flags += ["--driver-root-ctr-path", str(folder / "driver")]
    if module[0] in ("device_plugin", "gpunode"):
        flags += ["--kubelet-socket", str(socket), "--cdi-dir", str(folder / "cdi")]
    return ["-m", *module, *flags]


def write_account(server: ApiServer, folder: Path) -> Path:
    """Writes the files of a service account."""
    account = folder / "account"
    account.mkdir()
    for name, text in (("token", server.token), ("ca.crt", server.certificate), ("namespace", "gpunode")):
        (account / name).write_text(text)
    return account


def is_done(labels: Mapping[str, str], resources: Container[str], stack: Sequence[Sequence[str]]) -> bool:
    """Whether the Node has the labels of these agents, and the kubelet their resources."""
    names = {word for module in stack for word in module}
    nfd = not names & {"nfd_lite", "run"} or "feature.node.kubernetes.io/system-os_release.ID" in labels
    gfd = not names & {"gfd", "run"} or "nvidia.com/gpu.count" in labels
    return nfd and gfd and (not names & {"device_plugin", "run"} or "nvidia.com/gpu" in resources)


def read_pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024


def read_cpu(pid: int) -> float:
    """Returns the CPU seconds of all running threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def read_switches(pid: int) -> int:
    """Returns the voluntary context switches of all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        total += int(next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches")))
    return total


def live(stack: Sequence[Sequence[str]], copy: Copy, scenario: Path, library: Path, rest: float) -> Figures:
    """Starts the agents, waits until the Node has their results, and measures the idle agents."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-bench-")))
        shutil.copytree(library, folder / "driver")
        server = exits.enter_context(ApiServer())
        server.add_node(NODE, labels={"nvidia.com/gpu.present": "true"})
        kubelet = Kubelet(folder / "dp")
        node_agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        for component in (kubelet, node_agent):
            exits.callback(component.stop)
            component.start()
        account = write_account(server, folder)
        host, _, port = server.url.removeprefix("https://").partition(":")
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": copy.path, "PYTHONHOME": str(copy.python.parent.parent), VARIABLE: str(scenario),
            "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
            "LD_LIBRARY_PATH": str(copy.python.parent.parent / "lib"),
        }  # fmt: skip
        pod = ["unshare", "--mount", "sh", "-c", IN_A_POD, "sh", str(account), str(copy.python)]
        processes = [
            subprocess.Popen(
                [*pod, *command(module, folder, kubelet.socket)], env=environment, stderr=(folder / f"{module[0]}.log").open("wb"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for module in stack
        ]  # fmt: skip
        try:
            start, cpu = start_agents(processes)
            wait_until(
                lambda: is_done(server.store.get("nodes", NODE)["metadata"]["labels"], kubelet.resources(), stack),
                processes,
                folder,
            )
            start = time.perf_counter() - start
            cpu = sum(read_cpu(process.pid) for process in processes) - cpu
            time.sleep(SETTLE_SECONDS)
            return measure([process.pid for process in processes], rest, start=start, start_cpu=cpu)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait()


def start_agents(processes: Sequence[subprocess.Popen[bytes]]) -> tuple[float, float]:
    """Starts the agents. Returns the time, and the CPU seconds that their processes had used before."""
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    cpu = sum(read_cpu(process.pid) for process in processes)
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    return start, cpu


def wait_until(is_true: Callable[[], bool], processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    while not is_true():
        for process in processes:
            if process.poll() is not None:
                logs = "".join(path.read_text() for path in folder.glob("*.log"))
                raise SystemExit(f"an agent ended with status {process.returncode}:\n{logs}")
        time.sleep(0.002)


def measure(pids: Sequence[int], rest: float, *, start: float, start_cpu: float) -> Figures:
    cpu, switches = sum(map(read_cpu, pids)), sum(map(read_switches, pids))
    time.sleep(rest)
    return Figures(
        start=start,
        start_cpu=start_cpu,
        pss=sum(map(read_pss, pids)),
        cpu=1000 * (sum(map(read_cpu, pids)) - cpu) / rest,
        wakeups=(sum(map(read_switches, pids)) - switches) / rest,
    )


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f}..{max(values):.2f})"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rest = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    if os.geteuid() != 0:
        raise SystemExit("needs root to create a mount namespace with the files of the service account")
    with tempfile.TemporaryDirectory(prefix="gpunode-bench-") as name:
        folder = Path(name)
        copy = copy_python(folder / "python")
        driver = folder / "driver"
        build_library(driver)
        scenario = folder / "scenario"
        scenario.write_text(render_lines(load_scenario("h100x8")))
        print(
            f"{'agents':18} {'start, s':20} {'CPU of start, s':20} {'PSS, MiB':22} {'CPU while idle, ms/s':20} wake-ups a second"
        )
        for title, stack in STACKS.items():
            figures = [live(stack, copy, scenario, driver, rest) for _ in range(runs)]
            columns = zip(
                *((each.start, each.start_cpu, each.pss, each.cpu, each.wakeups) for each in figures), strict=True
            )
            widths = (20, 20, 22, 20, 0)
            shown = (f"{spread(values):{width}}" for values, width in zip(columns, widths, strict=True))
            print(f"{title:18} {' '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
