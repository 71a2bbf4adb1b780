"""gpu-device-plugin's command line: all flags of NVIDIA's plugin, their environment names and their keys in the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from device_plugin.__main__ import command
from device_plugin.settings import PluginSettings, plugin_settings
from gpu_core.domain.sharing import SharingStrategy
from gpu_core.settings.nvidia_settings import CdiSettings, ResponseSettings
from node_core.decode import Document
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.config_selector import settings_reader
from node_core.runtime.named_config import NamedConfigOptions

MPS = "sharing: {mps: {resources: [{name: gpu, replicas: 4}]}}\n"
SetEnv = Callable[[str, str], None]


def parse(*arguments: str) -> PluginSettings:
    values = parse_command(command, arguments, "gpu-device-plugin")
    assert values is not None
    return plugin_settings(values)


def refused(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(*arguments)
    return caught.value.problems


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_defaults_are_those_of_nvidias_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert parse() == PluginSettings()
    assert ResponseSettings().device_lists == ("auto",)
    assert CdiSettings().annotation_prefix == "cdi.k8s.io/"


FULL = ResponseSettings(
    device_lists=("volume-mounts", "cdi-cri"),
    id_strategy="index",
    pass_device_specs=True,
    driver_root="/run/nvidia/driver",
    dev_root="/dev-root",
    driver_root_mount=Path("/seen"),
    gdrcopy=True,
    gds=True,
    mofed=True,
    imex_channels=(0,),
    imex_required=True,
    mps_root="/run/nvidia/mps",
    cdi=CdiSettings(annotation_prefix="x/", hook_path="/ctk"),
)


def test_every_flag_sets_its_field() -> None:
    flags = (
        "--device-list-strategy=volume-mounts,cdi-cri", "--device-id-strategy=index", "--pass-device-specs",
        "--nvidia-driver-root=/run/nvidia/driver", "--dev-root=/dev-root", "--container-driver-root=/seen",
        "--gdrcopy-enabled", "--gds-enabled=true", "--mofed-enabled", "--imex-channel-ids=0", "--imex-required",
        "--mps-root=/run/nvidia/mps", "--cdi-annotation-prefix=x/", "--nvidia-ctk-path=/ctk", "--mig-strategy=auto",
        "--shared-devices-allocation-policy=packed", "--mig-devices-allocation-policy=distributed",
        "--fail-on-init-error=false", "--kubelet-socket=/k.sock",
        "--device-discovery-strategy=nvml",
    )  # fmt: skip
    assert parse(*flags) == PluginSettings(
        mig_strategy="auto", policy="packed", mig_policy="distributed", responses=FULL, kubelet_socket=Path("/k.sock")
    )


def test_every_environment_name_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "DEVICE_LIST_STRATEGY": "volume-mounts,cdi-cri", "DEVICE_ID_STRATEGY": "index", "PASS_DEVICE_SPECS": "1",
        "NVIDIA_DRIVER_ROOT": "/run/nvidia/driver", "NVIDIA_DEV_ROOT": "/dev-root", "CONTAINER_DRIVER_ROOT": "/seen",
        "GDRCOPY_ENABLED": "true", "GDS_ENABLED": "t", "MOFED_ENABLED": "TRUE", "IMEX_CHANNEL_IDS": "0",
        "IMEX_REQUIRED": "true", "MPS_ROOT": "/run/nvidia/mps", "CDI_ANNOTATION_PREFIX": "x/",
        "NVIDIA_CDI_HOOK_PATH": "/ctk", "MIG_STRATEGY": "single", "SHARED_DEVICES_ALLOCATION_POLICY": "packed",
        "CDI_FEATURE_FLAGS": "", "CDI_DISABLE_HOOKS": "all", "MIG_DEVICES_ALLOCATION_POLICY": "distributed",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = parse()
    assert (settings.mig_strategy, settings.policy, settings.mig_policy) == ("single", "packed", "distributed")
    assert settings.responses.cdi.disabled_hooks == {"all"}
    assert settings.responses.device_lists == FULL.device_lists
    assert settings.responses.imex_channels == (0,)
    assert (settings.responses.gdrcopy, settings.responses.gds, settings.responses.mofed) == (True, True, True)


def test_every_key_of_the_file_sets_its_field(config: Callable[[str], str]) -> None:
    text = """
version: v1
flags:
  migStrategy: mixed
  mpsRoot: /run/nvidia/mps
  nvidiaDriverRoot: /run/nvidia/driver
  nvidiaDevRoot: /dev-root
  gdrcopyEnabled: true
  gdsEnabled: true
  mofedEnabled: true
  plugin:
    passDeviceSpecs: true
    deviceListStrategy: [volume-mounts, cdi-cri]
    deviceIDStrategy: index
    cdiAnnotationPrefix: x/
    nvidiaCTKPath: /ctk
    containerDriverRoot: /seen
    sharedDevicesAllocationPolicy: packed
    migDevicesAllocationPolicy: distributed
imex: {channelIDs: [0], required: true}
"""
    path = config(text)
    wanted = PluginSettings(mig_strategy="mixed", policy="packed", mig_policy="distributed", responses=FULL)
    assert parse("--config-file", path) == wanted
    assert parse("--config-file", path, "--device-list-strategy", "envvar").responses.device_lists == ("envvar",)


@pytest.mark.parametrize(
    "flags",
    [
        ("--device-list-strategy=envvar,cdi-cri",),
        ("--device-list-strategy=envvar", "--device-list-strategy=cdi-cri"),
        ("--device-list-strategy", " envvar , cdi-cri,envvar,"),
    ],
    ids=["commas", "repeated", "spaces and repetitions"],
)
def test_lists_are_accepted_in_every_form(flags: tuple[str, ...]) -> None:
    assert parse(*flags).responses.device_lists == ("envvar", "cdi-cri")


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        (
            "--device-list-strategy=cdi,envvar",
            "--device-list-strategy: 'cdi' is unknown (did you mean cdi-cri?); known values: auto, envvar, volume-mounts, "  # noqa: ISC004
            "cdi-annotations, cdi-cri",
        ),
        ("--imex-channel-ids=1", "--imex-channel-ids: '1' is unknown; known values: 0"),
        ("--imex-channel-ids=x", "--imex-channel-ids: 'x' is unknown; known values: 0"),
        ("--fallback-strategies=some", "--fallback-strategies: 'some' is unknown; known values: named, single, empty"),
        ("--mig-devices-allocation-policy=spread", "--mig-devices-allocation-policy: 'spread' is not one of"),
        ("--device-id-strategy=name", "--device-id-strategy: 'name' is not one of 'uuid', 'index'."),
        ("--mig-strategy=all", "--mig-strategy: 'all' is not one of 'none', 'single', 'mixed', 'auto'."),
        ("--pass-device-specs=perhaps", "--pass-device-specs: 'perhaps' is not true or false"),
    ],
)
def test_an_invalid_value_is_refused_with_the_valid_values(flag: str, problem: str) -> None:
    (found,) = refused(flag)
    assert found.startswith(problem)


def test_invalid_values_in_the_file_are_refused(config: Callable[[str], str]) -> None:
    path = config("flags: {plugin: {deviceListStrategy: [envvar, mounts]}}\nimex: {channelIDs: [0]}\n")
    (found,) = refused("--config-file", path)
    assert found.startswith(f"{path}: flags.plugin.deviceListStrategy: 'mounts' is unknown")


def test_sharing_by_mps_requires_the_mps_root(config: Callable[[str], str]) -> None:
    path = config(MPS)
    (found,) = refused("--config-file", path)
    assert found.startswith("--mps-root is required")
    sharing = parse("--config-file", path, "--mps-root", "/mps").sharing
    assert sharing is not None
    assert sharing.strategy is SharingStrategy.MPS


def test_a_config_folder_has_a_label_and_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("--config-dir", "/c").named == NamedConfigOptions(place=Path("/c"))
    for name, value in {
        "CONFIG_FILE_SRCDIR": "/c", "NODE_LABEL": "x/y", "DEFAULT_CONFIG": "a", "FALLBACK_STRATEGIES": "single,empty",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert parse().named == NamedConfigOptions(
        place=Path("/c"), label="x/y", default="a", fallbacks=("single", "empty")
    )


def test_a_config_file_and_a_config_folder_cannot_be_combined(config: Callable[[str], str]) -> None:
    assert refused("--config-dir", "/c", "--config-file", config("")) == (
        "--config-dir: is used together with --config-file: use only one of them",
    )


def named(text: str) -> Document:
    return Document(source="named", content=text.encode())


def test_a_named_config_is_parsed_like_a_config_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_FILE_SRCDIR", "/c")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    reread = settings_reader(command, ["--device-id-strategy=index"], "gpu-device-plugin", plugin_settings)
    settings = reread(named("flags: {migStrategy: mixed, plugin: {deviceIDStrategy: uuid, passDeviceSpecs: true}}\n"))
    assert (settings.mig_strategy, settings.responses.id_strategy) == ("mixed", "index")
    assert settings.responses.pass_device_specs
    assert reread(None) == PluginSettings(responses=ResponseSettings(id_strategy="index"))
    with pytest.raises(SettingsError) as caught:
        reread(named("flags: {migStrategie: mixed}\nfoo: 1\n"))
    assert len(caught.value.problems) == 2
