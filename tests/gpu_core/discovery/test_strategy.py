"""The choice of a discovery strategy. tests/cuda has the strategies with libraries."""

from pathlib import Path

import pytest

from gpu_core.discovery import strategy
from gpu_core.discovery.strategy import read_gpus
from gpu_core.domain.inventory import Inventory
from gpu_core.host.platform import TEGRA_RELEASE
from node_core.errors import NvmlError
from node_core.host.root import HostRoot

TEGRA, NVML = Inventory(driver=None, why_empty="tegra"), Inventory(driver=None, why_empty="nvml")


def read(monkeypatch: pytest.MonkeyPatch, root: Path, name: strategy.Strategy, code: str | None) -> Inventory:
    """code: the error of NVML, or None if NVML works."""

    def read_inventory(*_: object, **__: object) -> Inventory:
        if code is not None:
            raise NvmlError("nvmlInit_v2", code)
        return NVML

    monkeypatch.setattr(strategy, "read_inventory", read_inventory)
    monkeypatch.setattr(strategy, "open_cuda", lambda *_: None)
    monkeypatch.setattr(strategy, "read_tegra", lambda _: TEGRA)
    return read_gpus(name, HostRoot(root), root)


@pytest.mark.parametrize("name", ["auto", "nvml"])
def test_nvml_is_used_if_it_works(name: strategy.Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, tmp_path, name, None) is NVML


def test_auto_uses_cuda_on_a_tegra_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NvmlError):
        read(monkeypatch, tmp_path, "auto", "LIBRARY_NOT_FOUND")
    (tmp_path / "etc").mkdir()
    (tmp_path / TEGRA_RELEASE.lstrip("/")).touch()
    assert read(monkeypatch, tmp_path, "auto", "LIBRARY_NOT_FOUND") is TEGRA
    with pytest.raises(NvmlError):
        read(monkeypatch, tmp_path, "auto", "DRIVER_NOT_LOADED")


def test_tegra_uses_cuda_without_a_query_of_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, tmp_path, "tegra", "LIBRARY_NOT_FOUND") is TEGRA
