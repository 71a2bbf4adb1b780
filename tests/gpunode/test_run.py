"""`gpunode run`: which agents are in the process."""

from pathlib import Path

import pytest

from device_plugin.settings import PluginSettings
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies
from gpu_exporter.settings import ExporterSettings
from gpunode import run
from gpunode.run import all_agents, parse
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import SOURCES, SourceSettings
from node_core.runtime.process import Program
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings

ALL = ["nfd-lite", "gfd", "gpu-device-plugin", "gpu-exporter"]


def flags(folder: Path, *more: str) -> list[str]:
    return [
        "--node-name", "n1", "--simulate", "t4x1", "--host-root", str(folder), "--lock-dir", str(folder),
        "--kubelet-socket", str(folder / "device-plugins/kubelet.sock"), "--cdi-dir", str(folder), *more,
    ]  # fmt: skip


def agents(program: Program | None) -> list[str]:
    assert program is not None
    return [agent.name for agent in program.build(Services()).agents]


@pytest.mark.parametrize(("more", "expected"), [((), ALL), (("--address=",), ALL[:3])], ids=["all", "no address"])
def test_an_empty_address_means_no_exporter(tmp_path: Path, more: tuple[str, ...], expected: list[str]) -> None:
    assert agents(parse(flags(tmp_path, *more))) == expected


def test_the_mig_manager_runs_on_request_and_the_plugin_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agents(parse(flags(tmp_path, "--with-mig-manager"))) == [*ALL, "mig-manager"]
    built: list[PluginSettings] = []
    monkeypatch.setattr(run, "build_plugin", lambda settings, *_, **__: built.append(settings))
    with pytest.raises(AttributeError):  # the replacement returns no agent
        agents(parse(flags(tmp_path, "--with-mig-manager")))
    assert built[0].waits_for_mig_manager


@pytest.mark.parametrize(
    ("own", "expected"),
    [(None, "/k/pod-resources/kubelet.sock"), (Path("/own.sock"), "/own.sock")],
    ids=["of the plugin", "own"],
)
def test_the_exporter_has_the_pod_resources_socket_of_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Path | None, expected: str
) -> None:
    built: list[ExporterSettings] = []
    monkeypatch.setattr(run, "build_exporter", lambda settings, *_: built.append(settings))
    common = CommonSettings(node_name="n1", simulate="t4x1", host_root=tmp_path, lock_dir=tmp_path)
    nfd = NfdSettings(label_sources=frozenset(SOURCES), source_settings=SourceSettings(), white_list=None)
    plugin = PluginSettings(kubelet_socket=Path("/k/device-plugins/kubelet.sock"), cdi_folder=tmp_path)
    exporter = ExporterSettings(pod_resources_socket=own)
    program = all_agents(Dependencies(common, "gpunode"), nfd, GfdSettings(), plugin, exporter)
    with pytest.raises(AttributeError):  # the replacement returns no agent
        program.build(Services())
    assert [str(each.pod_resources_socket) for each in built] == [expected]


def test_a_wrong_flag_of_the_exporter_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="--collect-interval: 'x' is not a number of milliseconds"):
        parse(flags(tmp_path, "--collect-interval=x"))
