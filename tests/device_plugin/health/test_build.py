"""The root of the host's device nodes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device_plugin.health.build import host_dev_root, pod_resources_socket
from device_plugin.settings import PluginSettings
from gpu_core.settings.nvidia_settings import ResponseSettings


@pytest.mark.parametrize(("host_root", "is_seen"), [(Path("/"), True), (Path("/host"), False)])
def test_the_dev_of_this_container_is_not_used_as_the_hosts(host_root: Path, is_seen: bool, tmp_path: Path) -> None:
    dependencies: Any = SimpleNamespace(common=SimpleNamespace(host_root=host_root), loaded_driver=None)
    found = host_dev_root(dependencies, ResponseSettings(driver_root_mount=tmp_path / "absent"))
    assert (found is not None) == is_seen


def test_the_dev_below_a_mounted_driver_root_is_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    dependencies: Any = SimpleNamespace(common=SimpleNamespace(host_root=Path("/host")), loaded_driver=None)
    responses = ResponseSettings(driver_root="/run/nvidia/driver", driver_root_mount=tmp_path)
    found = host_dev_root(dependencies, responses)
    assert found is not None
    assert found.exists("/dev/nvidiactl")


@pytest.mark.parametrize(
    ("settings", "socket"),
    [
        (PluginSettings(), "/var/lib/kubelet/pod-resources/kubelet.sock"),
        (PluginSettings(kubelet_socket=Path("/k/plugins/kubelet.sock")), "/k/pod-resources/kubelet.sock"),
        (
            PluginSettings(podresources_socket=Path("/var/lib/k0s/kubelet/pod-resources/kubelet.sock")),
            "/var/lib/k0s/kubelet/pod-resources/kubelet.sock",
        ),
    ],
    ids=["default", "beside", "k0s"],
)
def test_the_pod_resources_socket_follows_its_setting_and_else_the_folder_of_the_plugins(
    settings: PluginSettings, socket: str
) -> None:
    assert pod_resources_socket(settings) == Path(socket)
