"""The configs made from the profiles of the GPUs."""

import pytest

from gpu_core.mig.config import ConfigEntry
from gpu_core.mig.generated import balance, generate_configs
from gpu_core.mig.planner import plan_gpu
from gpu_core.mig.select import select_layouts
from node_core.values import replace
from tests.gpu_core.mig.boards import H100, PROFILES, RTX_PRO_6000, THOR, mig_gpu
from tests.gpu_core.mig.plans import apply_plan, device_counts

A30 = "NVIDIA A30"


@pytest.mark.parametrize(
    ("model", "devices"),
    [
        (H100, {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}),
        (A30, {"1g.6gb": 2, "2g.12gb": 1}),
        (RTX_PRO_6000, {"1g.24gb": 2, "2g.48gb": 1}),
        (THOR, {"1g.0gb": 2}),
    ],
)
def test_balanced_devices_are_those_of_nvidia(model: str, devices: dict[str, int]) -> None:
    assert balance(mig_gpu(model)) == devices


def test_the_names_are_those_of_nvidia() -> None:
    assert list(generate_configs([mig_gpu(A30)])) == [
        "all-disabled",
        "all-enabled",
        "all-balanced",
        "all-1g.6gb",
        "all-1g.6gb.me",
        "all-2g.12gb",
        "all-2g.12gb.me",
        "all-4g.24gb",
    ]


@pytest.mark.parametrize("model", PROFILES)
def test_every_generated_config_is_possible_in_both_modes(model: str) -> None:
    for is_enabled in (True, False):
        gpu = mig_gpu(model, enabled=is_enabled)
        configs = generate_configs([gpu])
        for name in configs:
            desired = select_layouts(configs, name, [gpu])[gpu.uuid]
            after = apply_plan(plan_gpu(gpu, desired))
            assert (after.is_enabled, device_counts(after)) == (desired.is_enabled, desired.devices)


def test_a_config_of_a_profile_names_the_models_that_have_it() -> None:
    configs = generate_configs([mig_gpu(H100), mig_gpu(A30, index=1), mig_gpu(H100, index=2)])
    assert configs["all-1g.6gb"] == (
        ConfigEntry(device_filter=("0x20B710DE",), is_enabled=True, mig_devices={"1g.6gb": 4}),
    )
    assert [entry.device_filter for entry in configs["all-balanced"]] == [("0x20B710DE",), ("0x233010DE",)]
    assert configs["all-disabled"] == (ConfigEntry(is_enabled=False),)


def test_a_driver_without_profiles_has_only_the_names_without_devices() -> None:
    old = replace(mig_gpu(H100, enabled=False), profiles=())
    assert list(generate_configs([old])) == ["all-disabled", "all-enabled"]
    assert list(generate_configs([])) == ["all-disabled", "all-enabled"]


def test_profiles_of_an_equal_gpu_are_used_for_a_gpu_without_profiles() -> None:
    old = replace(mig_gpu(A30, enabled=False), profiles=())
    assert "all-1g.6gb" in generate_configs([old, mig_gpu(A30, index=1)])


def test_a_gpu_without_pci_ids_is_named_by_its_index() -> None:
    soc = replace(mig_gpu(THOR, index=1), pci_id=None)
    configs = generate_configs([mig_gpu(A30), soc])
    assert configs["all-1g.0gb"] == (ConfigEntry(devices=(1,), is_enabled=True, mig_devices={"1g.0gb": 2}),)
    assert configs["all-1g.6gb"][0].device_filter == ("0x20B710DE",)
