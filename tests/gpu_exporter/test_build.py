"""The parts of the agent with their concrete dependencies."""

from pathlib import Path

import pytest

from gpu_core.assembly import Dependencies, gpu_dependencies
from gpu_core.host.bound import DRIVER
from gpu_exporter.__main__ import command
from gpu_exporter.build import build_pods, read_bound
from gpu_exporter.pods.api_pods import PodInformer
from gpu_exporter.pods.monitor import PodMonitor, PodsSnapshot
from gpu_exporter.settings import exporter_settings
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.runtime.command import parse_command
from node_core.runtime.services import Services


def dependencies_of(folder: Path, *flags: str) -> Dependencies:
    values = parse_command(command, ["--host-root", str(folder), "--lock-dir", "", *flags], "gpu-exporter")
    assert values is not None
    return gpu_dependencies(values, "gpu-exporter")


def bind(folder: Path, *addresses: str) -> None:
    for address in addresses:
        path = folder / DRIVER.lstrip("/") / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_bound_functions_are_those_of_the_host(tmp_path: Path) -> None:
    bind(tmp_path, "0000:1b:00.0")
    assert read_bound(dependencies_of(tmp_path)) == {"0000:1b:00.0"}


def test_simulated_gpus_are_not_compared_with_the_host(tmp_path: Path) -> None:
    bind(tmp_path, "0000:1b:00.0")
    assert read_bound(dependencies_of(tmp_path, "--simulate", "h100x8")) == frozenset()


def test_functions_that_cannot_be_read_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise HostReadError("cannot read")

    monkeypatch.setattr(HostRoot, "entries", fail)
    assert read_bound(dependencies_of(tmp_path)) == frozenset()


@pytest.mark.parametrize(
    ("flags", "services"),
    [
        ((), [PodMonitor]),
        (("--kubernetes-enable-pod-uid",), [PodInformer, PodMonitor]),
        (("--kubernetes-enable-pod-labels",), [PodInformer, PodMonitor]),
    ],
)
def test_the_api_server_is_used_only_if_a_setting_needs_it(
    tmp_path: Path, flags: tuple[str, ...], services: list[type]
) -> None:
    arguments = ("--node-name", "n1", "--pod-resources-kubelet-socket", str(tmp_path / "pod-resources/a.sock"), *flags)
    values = parse_command(command, ["--host-root", str(tmp_path), "--lock-dir", "", *arguments], "gpu-exporter")
    assert values is not None
    dependencies = gpu_dependencies(values, "gpu-exporter")
    pods = build_pods("gpu-exporter", exporter_settings(values), dependencies, Services())
    assert [type(each) for each in dependencies.background_services] == services
    assert pods() == PodsSnapshot()
