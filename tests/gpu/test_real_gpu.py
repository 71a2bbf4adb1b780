"""Compares the inventory and the labels of this machine's GPUs with nvidia-smi. Run by `make test-gpu`, not by `make test`."""

import os
import re
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

import pytest

from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.inventory import parse_bus_id, read_inventory
from gpu_core.nvml.real import open_nvml
from node_core.host.pci import read_numa_node
from node_core.host.root import HostRoot
from tests.gpu.conftest import NvidiaSmi

pytestmark = pytest.mark.gpu

QUERY = "name,memory.total,driver_version,uuid,pci.bus_id"


class Row(NamedTuple):
    """A line of nvidia-smi's output. memory: MiB, or text for a board without its own memory. compute: None with older drivers."""

    name: str
    memory: str
    driver: str
    uuid: str
    bus_id: str
    compute: str | None


@pytest.fixture(scope="module")
def rows(nvidia_smi: NvidiaSmi) -> list[Row]:
    lines = nvidia_smi(f"--query-gpu={QUERY}", "--format=csv,noheader,nounits").strip().splitlines()
    # nvidia-smi of 470 and older drivers does not have this field and refuses the whole query.
    compute = iter(nvidia_smi("--query-gpu=compute_cap", "--format=csv,noheader").split())
    rows = ([field.strip() for field in line.split(",")] for line in lines)
    return [
        Row(name=name, memory=memory, driver=driver, uuid=uuid, bus_id=bus_id, compute=next(compute, None))
        for name, memory, driver, uuid, bus_id in rows
    ]


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    root = HostRoot()
    return read_inventory(open_nvml, lambda address: read_numa_node(root, address))


def run(*command: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if name != "GPUNODE_SIMULATE" and not name.startswith("GFD_")
    }
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=50, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def labels() -> dict[str, str]:
    """The labels that gfd would publish, from the command that a user calls."""
    lines = run("gfd", "--oneshot", "--publish", "stdout", "--no-timestamp").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_inventory_has_all_gpus_in_the_order_of_nvidia_smi(rows: list[Row], inventory: Inventory) -> None:
    assert not inventory.simulated
    assert inventory.faults == ()
    assert [(gpu.uuid, gpu.model) for gpu in inventory.gpus] == [(row.uuid, row.name) for row in rows]
    assert [gpu.address for gpu in inventory.gpus] == [parse_bus_id(row.bus_id) for row in rows]


def test_memory_matches_to_a_mebibyte(rows: list[Row], inventory: Inventory) -> None:
    found = [None if gpu.memory_bytes is None else str(gpu.memory_bytes >> 20) for gpu in inventory.gpus]
    assert found == [row.memory if row.memory.isdigit() else None for row in rows]


def test_compute_capability_and_driver_match(rows: list[Row], inventory: Inventory) -> None:
    found = [f"{gpu.compute.major}.{gpu.compute.minor}" for gpu in inventory.gpus if gpu.compute]
    assert [row.compute for row in rows] in (found, [None] * len(found))
    assert inventory.driver is not None
    assert {inventory.driver.version} == {row.driver for row in rows}


def test_gpus_and_mig_devices_match_the_list_of_nvidia_smi(nvidia_smi: NvidiaSmi, inventory: Inventory) -> None:
    listed = nvidia_smi("-L")
    assert re.findall(r"UUID: (GPU-[0-9a-f-]+)", listed) == [gpu.uuid for gpu in inventory.gpus]
    devices = re.findall(r"MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)", listed)
    assert devices == [(each.profile, each.uuid) for gpu in inventory.gpus for each in gpu.mig_devices]


def test_the_labels_match_nvidia_smi(rows: list[Row], labels: dict[str, str]) -> None:
    assert labels["nvidia.com/cuda.driver-version.full"] == rows[0].driver
    product, count = Counter(row.name for row in rows).most_common(1)[0]
    if all(row.name == product for row in rows):
        first = rows[0]
        assert labels["nvidia.com/gpu.product"] == "-".join(re.sub(r"[^A-Za-z0-9\-_. ]", "", product).split())
        assert labels["nvidia.com/gpu.count"] == str(count)
        compute = f"{labels['nvidia.com/gpu.compute.major']}.{labels['nvidia.com/gpu.compute.minor']}"
        assert first.compute in (compute, None)
        assert labels.get("nvidia.com/gpu.memory") == (first.memory if first.memory.isdigit() else None)


def test_the_demo_uses_the_real_gpus(rows: list[Row]) -> None:
    shown = run("gpunode", "demo", "--once")
    assert "GPUs, real ones" in shown
    assert "simulated:" not in shown
    assert rows[0].driver in shown
