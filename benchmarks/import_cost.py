"""The cost of each dependency: the memory of a process that imports only this package, and the time.

    .venv/bin/python -m benchmarks.import_cost [runs]

Prints medians with minimum and maximum. Memory is VmHWM of a new interpreter, in MiB. structlog imports rich if rich is installed.
"""

import subprocess
import sys
import time

from benchmarks.figures import spread

MODULES = (
    "sys",
    "structlog",
    "click",
    "msgspec",
    "yaml",
    "prometheus_client",
    "urllib3",
    "h2.connection",
    "node_core.kubelet.deviceplugin_pb2",
    "kubernetes.client",
    "pynvml",
    "re2",
    "cryptography.x509",
    "kopf",
    "tomli_w",
    "rich.console",
    "nfd_lite.__main__",
    "gfd.__main__",
    "device_plugin.__main__",
    "gpunode.__main__, gpunode.run",
)
PROBE = (
    "import {module}; print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
)


def measure(module: str) -> tuple[float, float]:
    """Returns MiB and seconds of one import."""
    start = time.perf_counter()
    code = PROBE.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024, time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for module in MODULES:
        memory, seconds = zip(*(measure(module) for _ in range(runs)), strict=True)
        print(f"{module:36} {spread(memory):24} MiB  {spread(seconds)} s")


if __name__ == "__main__":
    main()
