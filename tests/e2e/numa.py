"""Two fake NUMA nodes for the kubelet of a test cluster: a bind mount over /sys/devices/system/node in the cluster's mount namespace.

Source: Documentation/admin-guide/mm/numaperf.rst and ABI/stable/sysfs-devices-node of the kernel.
"""

import shutil
from pathlib import Path

from tests.e2e.cluster import Cluster
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.components import MOUNTS
from tests.e2e.cluster.processes import recorded

NODES = Path("/sys/devices/system/node")
CPUS = Path("/sys/devices/system/cpu")


def fake_numa_nodes(cluster: Cluster, *, enabled: bool) -> None:
    """Applies to kubelets that start afterwards. Idempotent."""
    folder = cluster.run_dir / "numa"
    if enabled == folder.exists():
        return
    if enabled:
        write_nodes(
            folder, cpus=sorted(path.name for path in CPUS.glob("cpu[0-9]*")), memory=NODES / "node0" / "meminfo"
        )
        _in_mounts(cluster, "mount", "--bind", str(folder), str(NODES))
    else:
        _in_mounts(cluster, "umount", str(NODES))
        shutil.rmtree(folder)


def write_nodes(folder: Path, *, cpus: list[str], memory: Path) -> None:
    """Writes two nodes. Each node has every second CPU and reports all of the memory."""
    for node in (0, 1):
        path = folder / f"node{node}"
        path.mkdir(parents=True)
        (path / "meminfo").write_text(memory.read_text().replace("Node 0", f"Node {node}"))
        (path / "distance").write_text("10 20\n" if node == 0 else "20 10\n")
        node_cpus = cpus[node::2]
        (path / "cpulist").write_text(",".join(cpu.removeprefix("cpu") for cpu in node_cpus) + "\n")
        for cpu in node_cpus:
            (path / cpu).symlink_to(CPUS / cpu)
    (folder / "online").write_text("0-1\n")


def _in_mounts(cluster: Cluster, *command: str) -> None:
    process = recorded(cluster.layout.pid(MOUNTS))
    assert process is not None
    run("nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "--", *command)
