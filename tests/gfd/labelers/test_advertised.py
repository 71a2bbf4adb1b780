"""The labels describe the devices that the plugin advertises."""

from typing import Any

import pytest

from gfd.labelers import LabelOptions
from gpu_core.domain.inventory import ComputeCapability, Inventory, MigDevice
from gpu_core.settings.nvidia_config import decode_nvidia_config
from node_core.values import replace
from tests.device_plugin.conftest import mig
from tests.gfd.labelers.inventories import A40, OPTIONS, gpu, labels_below, node

MIXED = node(gpu(0, A40), gpu(1, A40), gpu(2), gpu(3), gpu(4))
TIMES = {"name": "nvidia.com/gpu", "replicas": 2}


def options(strategy: Any = "none", **file: Any) -> LabelOptions:
    """The options with a config file."""
    config, *_ = decode_nvidia_config({"version": "v1", **file}, ["gfd"], source="test")
    return replace(OPTIONS, mig_strategy=strategy, sharing=config.sharing, rules=config.rules)


def described(inventory: Inventory, with_config: LabelOptions, resource: str = "gpu") -> tuple[str, ...]:
    """Product, count, replicas and strategy."""
    found = labels_below(f"{resource}.", inventory, with_config)
    return tuple(found[name] for name in ("product", "count", "replicas", "sharing-strategy"))


def shared(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"timeSlicing": {"resources": list(entries)}}


def test_the_example_of_the_documentation_on_a_node_with_two_models() -> None:
    config = options(
        resources={"gpus": [{"pattern": "*A40*", "name": "a40"}, {"pattern": "*", "name": "gpu"}]},
        devices={"exclude": ["product=*T4"]},
        sharing=shared({**TIMES, "devices": [0]}),
    )
    assert described(MIXED, config) == ("NVIDIA-A40", "2", "1", "none")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param({"devices": {"exclude": [2, 3]}}, ("NVIDIA-A40", "2", "1", "none"), id="the other model is more common"),
        pytest.param({"devices": {"include": [4]}}, ("Tesla-T4", "1", "1", "none"), id="only one is included"),
        pytest.param({"reserved": [{"devices": [2], "why": "x"}]}, ("NVIDIA-A40", "2", "1", "none"), id="reserved"),
        pytest.param({"devices": {"exclude": [0, 1, 2, 3, 4]}}, ("Tesla-T4", "3", "0", "none"), id="all are excluded"),
        pytest.param({"sharing": shared({**TIMES, "devices": [2]})}, ("Tesla-T4", "3", "1", "none"), id="a minority is shared"),
        pytest.param(
            {"sharing": shared({**TIMES, "devices": [2, 3]})}, ("Tesla-T4-SHARED", "3", "2", "time-slicing"), id="most are shared"
        ),
        pytest.param({"sharing": shared({**TIMES, "devices": 2})}, ("Tesla-T4", "3", "1", "none"), id="the first two are others"),
        pytest.param(
            {"pools": [{"name": "team", "devices": [2, 3, 4]}], "sharing": shared(TIMES)},
            ("Tesla-T4", "3", "1", "none"),
            id="pooled devices have another resource",
        ),
        pytest.param(
            {"pools": [{"name": "team", "devices": [2, 3, 4]}], "sharing": shared({"name": "team", "replicas": 4})},
            ("Tesla-T4-SHARED", "3", "4", "time-slicing"),
            id="a shared pool",
        ),
        pytest.param(
            {"pools": [{"name": "a", "devices": [2, 3, 4]}, {"name": "b", "devices": ["product=*T4"]}]},
            ("Tesla-T4", "3", "0", "none"),
            id="devices of two pools are not advertised",
        ),
    ],
)  # fmt: skip
def test_product_count_and_replicas_describe_the_advertised_gpus(
    file: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert described(MIXED, options(**file)) == expected


def test_labels_of_a_model_count_all_boards() -> None:
    found = labels_below("gpu.product.", MIXED, options(devices={"exclude": ["product=*T4"]}))
    assert found["Tesla-T4.count"] == "3"


def cut(index: int, *profiles: str) -> Any:
    devices: tuple[MigDevice, ...] = tuple(mig(index, slot, profile) for slot, profile in enumerate(profiles))
    hopper = ComputeCapability(major=9, minor=0)
    return gpu(index, "NVIDIA H100", compute=hopper, mig_capable=True, mig_enabled=True, mig_devices=devices)


@pytest.mark.parametrize(("strategy", "resource"), [("single", "gpu"), ("mixed", "mig-1g.10gb")])
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ({}, ("", "4", "1", "none")),
        ({"devices": {"exclude": ["0:1"]}}, ("", "3", "1", "none")),
        ({"devices": {"exclude": [0]}}, ("", "2", "1", "none")),
        ({"devices": {"exclude": [0, 1]}}, ("", "4", "0", "none")),
        ({"pools": [{"name": "team", "devices": ["profile=1g*"]}]}, ("", "4", "1", "none")),
    ],
)
def test_labels_of_mig_devices_describe_the_advertised_ones(
    strategy: str, resource: str, file: dict[str, Any], expected: tuple[str, ...]
) -> None:
    inventory = node(cut(0, "1g.10gb", "1g.10gb"), cut(1, "1g.10gb", "1g.10gb"))
    product = "NVIDIA-H100-MIG-1g.10gb"
    assert described(inventory, options(strategy, **file), resource) == (product, *expected[1:])


def test_mps_with_one_replica_is_a_strategy_without_a_suffix() -> None:
    config = options(sharing={"mps": {"resources": [{"name": "gpu", "replicas": 1}]}})
    assert described(node(gpu(0)), config) == ("Tesla-T4", "1", "1", "mps")
