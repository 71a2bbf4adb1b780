from pathlib import Path

import pytest

from gpu_core.settings.nvidia_config import Section, nvidia_config_option
from gpu_core.settings.nvidia_settings import DestinationFlags, ResponseSettings, driver_mount
from node_core.runtime.setting import settings_of


def test_a_config_that_a_label_selects_cannot_change_the_destination_of_labels() -> None:
    assert {each.name: each.fixed for each in settings_of(DestinationFlags)}["use_node_feature_api"]


def test_the_kubelet_gets_device_nodes_only_on_request() -> None:
    assert not ResponseSettings().pass_device_specs


@pytest.mark.parametrize(
    ("sections", "names"),
    [(("gfd",), ["GFD_CONFIG_FILE", "CONFIG_FILE"]), (("plugin",), ["CONFIG_FILE"]), ((), ["CONFIG_FILE"])],
)
def test_the_name_of_gfds_config_file_is_for_gfd(sections: tuple[Section, ...], names: list[str]) -> None:
    assert nvidia_config_option(*sections).envvar == names


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.mark.parametrize(
    ("environment", "exists", "values", "expected"),
    [
        ({}, False, {}, "/"),
        ({}, False, {"driver_root": "/run/nvidia/driver"}, "/run/nvidia/driver"),
        ({}, False, {"driver_root": "/opt/driver", "host_root": Path("/host")}, "/host/opt/driver"),
        ({}, True, {}, "default"),
        (POD, False, {}, "default"),
        (POD, True, {}, "default"),
        ({}, False, {"driver_root_ctr_path": Path("/seen")}, "/seen"),
        (POD, False, {"driver_root_ctr_path": Path("/seen")}, "/seen"),
    ],
    ids=["host", "driver root", "host root", "mounted", "pod", "pod with mount", "flag on a host", "flag in a pod"],
)
def test_outside_of_a_pod_the_driver_root_is_at_its_own_path_unless_it_is_mounted(
    environment: dict[str, str], exists: bool, values: dict[str, object], expected: str, tmp_path: Path
) -> None:
    default = tmp_path / "driver-root"
    if exists:
        default.mkdir()
    given = {"driver_root_ctr_path": default, "host_root": Path("/"), **values}
    found = driver_mount(given, environment=environment, default=default)
    assert found == (default if expected == "default" else Path(expected))
