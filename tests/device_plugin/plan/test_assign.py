"""Pools, reserved devices, and resource names by pattern."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Plan
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from gpu_core.domain.device_rules import DeviceRules, Pool, Reservation
from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.domain.resources import NamePattern, ResourceNames, resource_name
from gpu_core.domain.selection import DeviceRef, parse_device
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu

MakeGpu = Callable[..., Gpu]


def refs(*texts: str | int) -> tuple[DeviceRef, ...]:
    return tuple(map(parse_device, texts))


def pool(name: str, *texts: str | int) -> Pool:
    return Pool(resource=resource_name(name), devices=refs(*texts))


def make_plan(gpus: list[Gpu], rules: DeviceRules, strategy: MigStrategy = "mixed") -> Plan:
    return plan_devices(Inventory(driver=None, gpus=tuple(gpus)), PlanOptions(mig_strategy=strategy, rules=rules))


def offered(plan: Plan) -> dict[str, list[str]]:
    return {
        resource.removeprefix("nvidia.com/"): [device.id for device in offer.devices]
        for resource, offer in plan.resources.items()
    }


def reserved_reasons(plan: Plan) -> dict[str, str]:
    return {each.device.id: each.why for each in plan.reserved}


def test_a_pool_has_exclusive_devices(gpu: MakeGpu) -> None:
    gpus = [gpu(0), gpu(1), gpu(2, ["1g.10gb", "1g.10gb", "3g.40gb"])]
    plan = make_plan(gpus, DeviceRules(pools=(pool("team-a", 1, "2:1"), pool("big", "profile=3g.*"))))
    assert offered(plan) == {
        "big": ["MIG-2-2"],
        "gpu": ["GPU-0"],
        "mig-1g.10gb": ["MIG-2-0"],
        "team-a": ["GPU-1", "MIG-2-1"],
    }
    assert (plan.notes, plan.reserved) == ((), ())


@pytest.mark.parametrize(
    "text", [2, "0000:02:00.0", "02:00.0", "00000000:02:00.0", "product=*H100*", "profile=1g.10gb"]
)
def test_a_reference_to_a_gpu_matches_its_mig_devices(gpu: MakeGpu, text: str | int) -> None:
    plan = make_plan([gpu(2, ["1g.10gb", "1g.10gb"])], DeviceRules(pools=(pool("all-of-it", text),)))
    assert offered(plan) == {"all-of-it": ["MIG-2-0", "MIG-2-1"]}


@pytest.mark.parametrize("strategy", ["none", "single"])
def test_a_pool_can_contain_devices_that_the_mig_strategy_does_not_advertise(
    gpu: MakeGpu, strategy: MigStrategy
) -> None:
    plan = make_plan([gpu(0), gpu(1, ["1g.10gb", None])], DeviceRules(pools=(pool("second", "1:1"),)), strategy)
    assert offered(plan).pop("second") == ["MIG-1-1"]
    assert "MIG-1-0" in reserved_reasons(plan)


def test_a_device_that_matches_two_pools_is_not_advertised(gpu: MakeGpu) -> None:
    plan = make_plan([gpu(0), gpu(1)], DeviceRules(pools=(pool("a", 0), pool("b", "product=*H100*"))))
    assert offered(plan) == {"b": ["GPU-1"]}
    assert reserved_reasons(plan) == {"GPU-0": "the device matches several pools: a, b"}
    assert plan.notes == ("GPU 0 (GPU-0) is not advertised: the device matches several pools: a, b.",)


def test_reserved_excluded_and_not_included_devices_have_their_reasons(gpu: MakeGpu) -> None:
    rules = DeviceRules(
        include=refs(0, 1, 2, 3),
        exclude=refs(1, 2),
        reserved=(Reservation(devices=refs(2), why="broken fan"),),
        pools=(pool("a", 1, 3),),
    )
    plan = make_plan([gpu(index) for index in range(5)], rules)
    assert offered(plan) == {"gpu": ["GPU-0"], "a": ["GPU-3"]}
    assert reserved_reasons(plan) == {
        "GPU-1": "devices.exclude in the config file lists the device",
        "GPU-2": "broken fan",
        "GPU-4": "devices.include in the config file does not list the device",
    }


def test_a_reference_without_a_matching_device_is_a_note(gpu: MakeGpu) -> None:
    rules = DeviceRules(
        include=refs(0, 7),
        exclude=refs("0:3"),
        reserved=(Reservation(devices=refs("aa:00.0"), why="x"),),
        pools=(pool("a", "product=A100"),),
    )
    plan = make_plan([gpu(0)], rules)
    assert offered(plan) == {"gpu": ["GPU-0"]}
    assert plan.notes == (
        "devices.include: no device on this node matches 7.",
        "devices.exclude: no device on this node matches 0:3.",
        "reserved[0]: no device on this node matches 0000:aa:00.0.",
        "pool a: no device on this node matches product=A100.",
    )


def test_the_first_pattern_that_matches_the_whole_name_determines_the_resource(gpu: MakeGpu) -> None:
    def named(*pairs: tuple[str, str]) -> tuple[NamePattern, ...]:
        return tuple(NamePattern(pattern=pattern, resource=resource_name(name)) for pattern, name in pairs)

    names = ResourceNames(
        gpus=named(("H100", "part"), ("NVIDIA-A40", "a40"), ("*H100*", "h100"), ("*", "other")),
        mig=named(("1g.10gb", "small"), ("1g.10gb*", "small-me")),
    )
    gpus = [gpu(0), replace(gpu(1), model="NVIDIA A40"), replace(gpu(2), model="Tesla T4"),
            gpu(3, ["1g.10gb", "1g.10gb+me", "3g.40gb"])]  # fmt: skip
    assert offered(make_plan(gpus, DeviceRules(names=names))) == {
        "a40": ["GPU-1"], "h100": ["GPU-0"], "mig-3g.40gb": ["MIG-3-2"], "other": ["GPU-2"], "small": ["MIG-3-0"],
        "small-me": ["MIG-3-1"],
    }  # fmt: skip
    assert offered(make_plan(gpus[3:], DeviceRules(names=names), "single")) == {}
    uniform = [gpu(3, ["1g.10gb"])]
    assert offered(make_plan(uniform, DeviceRules(names=names), "single")) == {"small": ["MIG-3-0"]}


TEXTS = st.sampled_from([0, 1, 2, 3, 9, "2:0", "2:1", "3:0", "01:00.0", "product=*", "product=*A40", "profile=1g*"])
LISTS = st.lists(TEXTS, max_size=3, unique=True)


@given(LISTS, LISTS, LISTS, LISTS, st.none() | LISTS, st.sampled_from(["none", "single", "mixed"]))
def test_every_device_is_either_assigned_or_reserved(
    one: list[str | int],
    two: list[str | int],
    kept: list[str | int],
    out: list[str | int],
    only: list[str | int] | None,
    strategy: MigStrategy,
) -> None:
    gpus = [make_gpu(0), make_gpu(1), make_gpu(2, ["1g.10gb", None]), make_gpu(3, ["1g.10gb"])]
    rules = DeviceRules(
        include=None if only is None else refs(*only),
        exclude=refs(*out),
        reserved=(Reservation(devices=refs(*kept), why="x"),),
        pools=(pool("one", *one), pool("two", *two)),
    )
    plan = make_plan(gpus, rules, strategy)
    places = sorted([each for ids in offered(plan).values() for each in ids] + list(reserved_reasons(plan)))
    assert places == ["GPU-0", "GPU-1", "MIG-2-0", "MIG-2-1", "MIG-3-0"]
    given_away = [device for offer in plan.resources.values() for device in offer.devices]
    assert not any(ref.matches(device) for device in given_away for ref in refs(*kept, *out))
