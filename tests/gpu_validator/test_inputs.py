"""Which changes on the node start a new validation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dra_driver.claims.specs import CLAIM_PREFIX
from gpu_validator.inputs import InputReader, Inputs
from gpu_validator.kubelet import NodeState
from node_core.host.root import HostRoot
from node_core.values import replace

Change = Callable[[Path], object]


def write(folder: Path, path: str, text: str = "") -> None:
    file = folder / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    write(tmp_path, "/sys/module/nvidia/version", "550.54.15\n")
    write(tmp_path, "/sys/bus/pci/drivers/nvidia/0000:17:00.0")
    write(tmp_path, "/dev/nvidia0")
    write(tmp_path, "/dev/null")
    write(tmp_path, "/cdi/a.json", "{}")
    write(tmp_path, "/kubelet.sock")
    return tmp_path


def read(host: Path, node: NodeState | None = None, *, is_released: bool = False, had_claims: bool = False) -> Inputs:
    root = HostRoot(host)
    reader = InputReader(
        host=root,
        dev=root,
        driver_root=host,
        library_dirs=(),
        cdi_folders=(host / "cdi",),
        kubelet=host / "kubelet.sock",
    )
    return reader.read(node or NodeState(), is_released=is_released, had_claims=had_claims)


def test_without_a_change_the_inputs_are_equal(host: Path) -> None:
    before = read(host)
    write(host, "/dev/other")
    write(host, "/cdi/.a.json.tmp")
    assert read(host) == before


def test_the_first_claim_is_a_change_and_further_ones_are_none(host: Path) -> None:
    before = read(host)
    write(host, f"/cdi/{CLAIM_PREFIX}u1.json")
    first = read(host)
    assert (before.has_claims, first) == (False, replace(before, has_claims=True))
    write(host, f"/cdi/{CLAIM_PREFIX}u2.json")
    assert read(host) == first
    for claim in ("u1", "u2"):
        (host / f"cdi/{CLAIM_PREFIX}{claim}.json").unlink()
    assert read(host, had_claims=first.has_claims) == first


@pytest.mark.parametrize(
    "change",
    [
        lambda host: write(host, "/sys/module/nvidia/version", "560.1\n"),
        lambda host: write(host, "/sys/bus/pci/drivers/nvidia/0000:18:00.0"),
        lambda host: write(host, "/dev/nvidia1"),
        lambda host: write(host, "/dev/nvidia-caps/nvidia-cap1"),
        lambda host: (host / "dev/nvidia0").unlink(),
        lambda host: (host / "cdi/a.json").unlink(),
        lambda host: write(host, "/cdi/a.json", "{ }"),
        lambda host: write(host, "/cdi/b.json"),
        lambda host: (host / "kubelet.sock").unlink(),
    ],
    ids=["driver", "gpu", "node", "capability", "no node", "no spec", "other spec", "new spec", "kubelet"],
)
def test_each_change_is_seen(change: Change, host: Path) -> None:
    before = read(host)
    change(host)
    assert read(host) != before


def test_the_node_and_a_release_are_inputs(host: Path) -> None:
    before = read(host)
    assert read(host, NodeState(allocatable={"nvidia.com/gpu": "8"})) != before
    assert read(host, is_released=True) != before


def test_an_empty_host_can_be_read(tmp_path: Path) -> None:
    assert read(tmp_path) == Inputs()
