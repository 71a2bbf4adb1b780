"""Device nodes that should be there and are not, and those that we only cannot see."""

from pathlib import Path

import pytest

from node_core.domain.evidence import GpuState
from node_core.domain.inventory import Gpu, GpuUuid, Inventory
from node_core.host.missing_nodes import note_missing_nodes, read_missing_nodes
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
def test_nodes_are_missing_only_where_others_are_seen(
    tmp_path: Path, names: tuple[str, ...], missing: dict[str, tuple[str, ...]]
) -> None:
    assert read_missing_nodes(GPUS, dev(tmp_path, *names)) == missing


def test_a_folder_of_nodes_that_is_not_there_or_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert read_missing_nodes(GPUS, HostRoot(tmp_path)) == {}
    (tmp_path / "dev").symlink_to("dev")
    assert read_missing_nodes(GPUS, HostRoot(tmp_path)) == {}


def test_what_is_missing_is_in_the_state_of_its_gpu(tmp_path: Path) -> None:
    root = dev(tmp_path, "nvidia0", "nvidiactl")
    states = tuple(GpuState(gpu=each.uuid) for each in GPUS)
    found = note_missing_nodes(Inventory(driver=None, gpus=GPUS, states=states), root)
    assert [state.missing_nodes for state in found.states] == [(), ("/dev/nvidia3",), ()]
    simulated = Inventory(driver=None, gpus=GPUS, states=states, simulated=True)
    assert note_missing_nodes(simulated, root) == simulated
