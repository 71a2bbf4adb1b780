"""Missing device nodes, and nodes that are only not visible to the process."""

from pathlib import Path

import pytest

from gpu_core.domain.evidence import GpuState
from gpu_core.domain.inventory import Gpu, GpuUuid, Inventory
from gpu_core.host.missing_nodes import add_missing_nodes, find_missing_nodes
from node_core.host.root import HostRoot


def gpu(index: int, minor: int | None) -> Gpu:
    uuid = GpuUuid(f"GPU-{index}")
    return Gpu(index=index, uuid=uuid, minor=minor, model="x", memory_bytes=None, compute=None, address=None)


GPUS = (gpu(0, 0), gpu(1, 3), gpu(2, None))


def dev(folder: Path, *names: str) -> HostRoot:
    (folder / "dev").mkdir()
    for name in names:
        (folder / "dev" / name).touch()
    return HostRoot(folder)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("nvidia0", "nvidia3", "nvidiactl"), {}),
        (("nvidia0", "nvidiactl"), {"GPU-1": ("/dev/nvidia3",)}),
        (("nvidiactl",), {"GPU-0": ("/dev/nvidia0",), "GPU-1": ("/dev/nvidia3",)}),
        (("null", "kmsg"), {}),
        ((), {}),
    ],
    ids=["all there", "one gone", "all gone", "not shown to us", "empty"],
)
def test_nodes_are_missing_only_if_other_nodes_exist(
    tmp_path: Path, names: tuple[str, ...], missing: dict[str, tuple[str, ...]]
) -> None:
    assert find_missing_nodes(GPUS, dev(tmp_path, *names)) == missing


def test_without_a_readable_folder_of_nodes_none_is_missing(tmp_path: Path) -> None:
    assert find_missing_nodes(GPUS, HostRoot(tmp_path)) == {}
    (tmp_path / "dev").symlink_to("dev")
    assert find_missing_nodes(GPUS, HostRoot(tmp_path)) == {}


def test_a_missing_node_is_added_to_the_state_of_its_gpu(tmp_path: Path) -> None:
    root = dev(tmp_path, "nvidia0", "nvidiactl")
    states = tuple(GpuState(gpu=each.uuid) for each in GPUS)
    found = add_missing_nodes(Inventory(driver=None, gpus=GPUS, states=states), root)
    assert [state.missing_nodes for state in found.states] == [(), ("/dev/nvidia3",), ()]
    simulated = Inventory(driver=None, gpus=GPUS, states=states, simulated=True)
    assert add_missing_nodes(simulated, root) == simulated
