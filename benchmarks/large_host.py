"""The cost of a pass of nfd-lite on a large host: 128 CPUs, 512 PCI functions, 64 NUMA nodes with huge pages, 40 NICs.

    .venv/bin/python -m benchmarks.large_host [passes]

Writes the files of such a host to a temporary folder, collects once, and then `passes` times. Prints the median CPU milliseconds of a pass
with minimum and maximum, and the number of files that a pass opens. On a real host, sysfs generates the files, which costs more.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nfd_lite.cpu.cpuid import read_cpu
from nfd_lite.sources import Host, SourceSettings, collect
from node_core.domain.features import Features
from node_core.host.root import HostRoot

CPUS, FUNCTIONS, NODES, NICS, DISKS = 128, 512, 64, 40, 24
RELEASE = "6.8.0-45-generic"


def lay_out(base: Path) -> HostRoot:
    """Writes a large host to a folder. As in sysfs, buses and classes contain links to devices."""
    for path, content in _files():
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    for link, folder in _links():
        (base / link).parent.mkdir(parents=True, exist_ok=True)
        (base / link).symlink_to("../" * link.count("/") + folder)
    return HostRoot(base)


def _files() -> Iterator[tuple[str, str]]:
    yield "etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\n'
    yield "proc/sys/kernel/osrelease", f"{RELEASE}\n"
    yield "proc/swaps", "Filename Type Size Used Priority\n"
    yield "proc/modules", "".join(f"module_{number} 16384 0 - Live 0x0\n" for number in range(250))
    yield f"boot/config-{RELEASE}", "".join(f"CONFIG_OPTION_{number}={'ym'[number % 2]}\n" for number in range(10_000))
    yield f"lib/modules/{RELEASE}/modules.builtin", "".join(f"kernel/drivers/b{number}.ko\n" for number in range(700))
    yield from _cpu_files()
    yield from _memory_files()
    for number in range(FUNCTIONS):
        yield from _function_files(number)
    for number in range(NICS):
        for name, text in {"operstate": "up", "speed": "200000", "mtu": "9000"}.items():
            yield f"sys/devices/net/eth{number}/{name}", f"{text}\n"
    for number in range(DISKS):
        for name, text in {"rotational": "0", "dax": "0", "nr_zones": "0", "zoned": "none"}.items():
            yield f"sys/devices/block/nvme{number}n1/queue/{name}", f"{text}\n"


def _cpu_files() -> Iterator[tuple[str, str]]:
    yield "sys/devices/system/cpu/intel_pstate/status", "active\n"
    yield "sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"
    for number in range(CPUS):
        cpu, policy = f"sys/devices/system/cpu/cpu{number}", f"sys/devices/system/cpu/cpufreq/policy{number}"
        yield f"{cpu}/topology/thread_siblings_list", f"{number % 64},{number % 64 + 64}\n"
        yield f"{cpu}/topology/physical_package_id", f"{number % 2}\n"
        yield f"{cpu}/cpufreq/base_frequency", "2000000\n"
        yield f"{policy}/affected_cpus", f"{number}\n"
        yield f"{policy}/scaling_governor", "performance\n"


def _memory_files() -> Iterator[tuple[str, str]]:
    for size in ("2048", "1048576"):
        pool = f"hugepages/hugepages-{size}kB/nr_hugepages"
        yield f"sys/kernel/mm/{pool}", "64\n"
        for number in range(NODES):
            yield f"sys/devices/system/node/node{number}/{pool}", "1\n"


def _function_files(number: int) -> Iterator[tuple[str, str]]:
    folder = f"sys/devices/{_address(number)}"
    ids = {
        "class": "0x020000",
        "vendor": "0x15b3",
        "device": "0x1021",
        "subsystem_vendor": "0x15b3",
        "subsystem_device": "0x0023",
    }
    for name, text in {
        **ids,
        "numa_node": "0",
        "iommu_group/type": "DMA-FQ",
        "iommu/intel-iommu/version": "6:0",
    }.items():
        yield f"{folder}/{name}", f"{text}\n"
    if number < NICS:
        yield f"{folder}/sriov_totalvfs", "16\n"
        yield f"{folder}/sriov_numvfs", "8\n"


def _links() -> Iterator[tuple[str, str]]:
    for number in range(CPUS):
        yield f"sys/bus/cpu/devices/cpu{number}", f"sys/devices/system/cpu/cpu{number}"
    for number in range(NODES):
        yield f"sys/bus/node/devices/node{number}", f"sys/devices/system/node/node{number}"
    for number in range(FUNCTIONS):
        yield f"sys/bus/pci/devices/{_address(number)}", f"sys/devices/{_address(number)}"
    for number in range(NICS):
        yield f"sys/class/net/eth{number}", f"sys/devices/net/eth{number}"
        yield f"sys/devices/net/eth{number}/device", f"sys/devices/{_address(number)}"
    for number in range(DISKS):
        yield f"sys/block/nvme{number}n1", f"sys/devices/block/nvme{number}n1"


def _address(number: int) -> str:
    return f"0000:{number // 8:02x}:{number % 8:02x}.0"


def measure(host: Host, passes: int) -> list[float]:
    """CPU milliseconds of each pass after the first."""
    first = collect(host, SourceSettings())
    assert not first.errors, first.errors
    features, spent = first.features, []
    for _ in range(passes):
        start = time.process_time()
        features = collect(host, SourceSettings(), previous=features).features
        spent.append(1000 * (time.process_time() - start))
    return spent


def count_opened(host: Host, features: Features) -> int:
    """Counts opened files by audit events of the interpreter."""
    opened: list[object] = []
    counting = [True]
    sys.addaudithook(lambda event, arguments: opened.append(arguments[0]) if event == "open" and counting[0] else None)
    collect(host, SourceSettings(), previous=features)
    counting[0] = False
    return len(opened)


def main() -> None:
    passes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="gpunode-bench-") as folder:
        host = Host(root=lay_out(Path(folder)), cpu=read_cpu, node_name="bench")
        spent = measure(host, passes)
        print(f"{statistics.median(spent):.1f} ms CPU a pass ({min(spent):.1f}..{max(spent):.1f}, {passes} passes)")
        print(f"{count_opened(host, Features())} files opened a pass")


if __name__ == "__main__":
    main()
