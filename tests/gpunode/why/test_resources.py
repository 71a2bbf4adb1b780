"""Resources that Nodes do not offer, and amounts as text."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from gpunode.why.amounts import render_amount, render_names, render_range, render_requests
from gpunode.why.resources import NO_PLUGIN, describe_missing_plugin, describe_unknown_resource, nearest_resource
from node_core.scheduling.objects import Node
from node_core.scheduling.requests import DEVICE_CLASS

GPU, SHARED = "nvidia.com/gpu", "nvidia.com/gpu.shared"


def node(labels: Any = None, **amounts: str) -> Node:
    capacity = {name.replace("gpu", GPU): amount for name, amount in amounts.items()}
    return msgspec.convert({"metadata": {"name": "n", "labels": labels or {}}, "status": {"capacity": capacity}}, Node)


@pytest.mark.parametrize(
    ("resource", "offered", "nearest"),
    [
        ("nvidia.com/mig-1g.5gb", ("nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb", GPU), "nvidia.com/mig-1g.10gb"),
        ("nvidia.com/mig-2g.10gb", ("nvidia.com/mig-1g.5gb", "nvidia.com/mig-3g.20gb"), "nvidia.com/mig-3g.20gb"),
        ("nvidia.com/mig-7g.80gb", ("nvidia.com/mig-1g.5gb", "nvidia.com/mig-3g.20gb"), "nvidia.com/mig-3g.20gb"),
        ("nvidia.com/mig-1g.5gb", (GPU,), None),
        ("nvidia.com/gpus", (GPU, "nvidia.com/mig-1g.5gb"), GPU),
        ("amd.com/gpu", (GPU,), GPU),
        (SHARED, ("example.com/fpga",), None),
        (GPU, (), None),
    ],
)
def test_the_nearest_resource_is_a_similar_name_or_a_mig_device_that_is_large_enough(
    resource: str, offered: tuple[str, ...], nearest: str | None
) -> None:
    assert nearest_resource(resource, offered) == nearest


@pytest.mark.parametrize(
    ("resource", "nodes", "expected"),
    [
        ("nvidia.com/mig-1g.5gb", [node({"nvidia.com/mig.strategy": "single"}, gpu="7")], "With the MIG strategy single, MIG devices are"),
        ("nvidia.com/mig-1g.5gb", [node(gpu="8")], "Such a resource needs GPUs in MIG mode and the MIG strategy mixed."),
        (SHARED, [node(gpu="8")], "needs shared GPUs and `renameByDefault: true`"),
        ("nvidia.com/gpus", [node(gpu="8"), node(gpu="4")], "Did you mean nvidia.com/gpu? 2 nodes offer it."),
        ("example.com/fpga", [node(cpu="8")], "No node offers example.com/fpga."),
    ],
)  # fmt: skip
def test_a_resource_that_no_node_offers_is_explained(resource: str, nodes: list[Node], expected: str) -> None:
    assert expected in describe_unknown_resource(resource, nodes)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("gpu.nvidia.com",), f"No DeviceClass has the name gpu.nvidia. Did you mean {DEVICE_CLASS}gpu.nvidia.com?"),
        (("nic",), "No DeviceClass has the name gpu.nvidia. The DeviceClasses are: nic."),
        ((), "No DeviceClass has the name gpu.nvidia. The cluster has none."),
        (("gpu.nvidia",), f"No node offers {DEVICE_CLASS}gpu.nvidia."),
        (None, f"No node offers {DEVICE_CLASS}gpu.nvidia."),
    ],
)
def test_a_device_class_that_does_not_exist_is_explained(classes: tuple[str, ...] | None, expected: str) -> None:
    assert describe_unknown_resource(f"{DEVICE_CLASS}gpu.nvidia", [node(gpu="8")], classes).startswith(expected)


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("cpu", Fraction(1, 2), "0.5"),
        ("cpu", Fraction(64), "64"),
        ("memory", Fraction(64 << 30), "64Gi"),
        ("memory", Fraction(3 << 29), "1.5Gi"),
        ("memory", Fraction(1000), "1000"),
        ("hugepages-2Mi", Fraction(2 << 20), "2Mi"),
        (GPU, Fraction(8), "8"),
    ],
)
def test_amounts_are_short(resource: str, amount: Fraction, text: str) -> None:
    assert render_amount(resource, amount) == text


def test_ranges_requests_and_lists() -> None:
    assert render_range(GPU, [Fraction(3), Fraction(0), Fraction(1)]) == "0 to 3"
    assert render_range(GPU, [Fraction(3), Fraction(3)]) == "3"
    requests = {"pods": Fraction(1), "cpu": Fraction(2), GPU: Fraction(1), "memory": Fraction(0)}
    assert list(render_requests(requests).items()) == [(GPU, "1"), ("cpu", "2")]
    assert render_names(["a", "b", "c"], 2) == "a, b and 1 more"
    assert render_names(["a", "b"], 2) == "a, b"


def test_a_node_without_a_plugin_states_the_stage_that_fails() -> None:
    def states(*conditions: tuple[str, str, str]) -> str:
        given = [
            {"type": kind, "status": status, "reason": reason, "message": "M."} for kind, status, reason in conditions
        ]
        node = msgspec.convert({"metadata": {"name": "n1"}, "status": {"conditions": given}}, Node)
        return describe_missing_plugin([node])[0]

    assert states() == f"n1: {NO_PLUGIN}"
    assert states(("GPUValidated", "True", "Validated")) == f"n1: {NO_PLUGIN}"
    assert states(("GPUValidated", "False", "DriverFailed")) == "n1: GPUValidated is False, DriverFailed: M"
    both = (("GPUValidated", "False", "DriverFailed"), ("GPUReady", "False", "NoDriver"))
    assert states(*both) == "n1: GPUReady is False, NoDriver: M"
