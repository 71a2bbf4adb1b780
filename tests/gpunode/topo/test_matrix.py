"""The matrix, its legend, and the list in narrow terminals."""

import pytest

from gpu_core.domain.inventory import Fault, GpuUuid, PciPath, PciPeer
from gpunode.output.terminal import Terminal
from gpunode.topo.links import TERMS, Topology, describe_topology
from gpunode.topo.matrix import render_matrix
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu
from tests.device_plugin.plan.plans import inventory
from tests.gpunode.topo.topologies import topology

PAIR = topology(make_gpu(0, numa=0, links={1: 4}), make_gpu(1, numa=0), make_gpu(2))


def lines(node: Topology, width: int = 100) -> list[str]:
    return render_matrix(node, Terminal(width=width))


def test_the_matrix_has_the_fastest_link_of_each_pair() -> None:
    assert lines(PAIR)[:4] == [
        "       GPU0   GPU1   GPU2   NUMA",
        "GPU0   X      NV4    SYS    0",
        "GPU1   NV4    X      SYS    0",
        "GPU2   SYS    SYS    X      -",
    ]


def test_the_cpus_of_the_numa_nodes_are_a_column_if_they_are_known() -> None:
    shown = lines(replace(PAIR, cpus={0: "0-15,32-47"}))
    assert shown[0].endswith("NUMA   CPUS")
    assert shown[1].endswith("0      0-15,32-47")
    assert shown[3].endswith("-      -")


@pytest.mark.parametrize("path", PciPath)
def test_each_term_that_occurs_is_explained(path: PciPath) -> None:
    one = replace(make_gpu(0), pci_peers=(PciPeer(gpu=GpuUuid("GPU-1"), path=path),))
    shown = lines(topology(one, make_gpu(1)))
    term, meaning = TERMS[path]
    assert shown[1].split() == ["GPU0", "X", term, "-"]
    assert shown[-3:] == ["Legend:", "  X    the GPU itself", f"  {term:<5}{meaning}"]


def test_a_narrow_terminal_gets_a_list() -> None:
    assert lines(PAIR, 30) == [
        "GPU0 NUMA 0",
        "  NV4  GPU1",
        "  SYS  GPU2",
        "GPU1 NUMA 0",
        "  NV4  GPU0",
        "  SYS  GPU2",
        "GPU2 NUMA -",
        "  SYS  GPU0 GPU1",
        "",
        "Legend:",
        "  X    the GPU itself",
        "  NV#  # NVLinks, from GPU to",
        "       GPU or through",
        "       NVSwitches",
        "  SYS  PCIe, and the link",
        "       between NUMA nodes",
    ]


@pytest.mark.parametrize("width", [30, 40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    gpus = [make_gpu(at, links={other: 2 for other in range(16) if other != at}) for at in range(16)]
    assert max(map(len, lines(topology(*gpus), width))) <= width


def test_gpus_that_cannot_be_read_are_listed() -> None:
    fault = Fault(index=1, uuid=None, reason="nvmlDeviceGetUUID returned GPU_IS_LOST\x1b[31m")
    shown = lines(describe_topology(inventory(make_gpu(0), faults=(fault,)), {}))
    assert "GPU 1 cannot be read: nvmlDeviceGetUUID returned GPU_IS_LOST?[31m" in shown


def test_a_note_states_that_mig_devices_cannot_use_nvlinks() -> None:
    shown = lines(topology(make_gpu(0, ["1g.10gb"], links={1: 4}), make_gpu(1)))
    assert "GPU 0 is in MIG mode. MIG devices cannot use NVLinks." in shown
    assert not any("MIG" in line for line in lines(PAIR))
