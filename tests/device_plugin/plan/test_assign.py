"""Pools, devices that are kept back, and names by pattern."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Plan
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from node_core.domain.device_rules import DeviceRules, Pool, Reservation
from node_core.domain.inventory import Gpu, Inventory
from node_core.domain.resources import NamePattern, ResourceNames, resource_name
from node_core.domain.selection import DeviceRef, parse_device
from tests.device_plugin.conftest import make_gpu

MakeGpu = Callable[..., Gpu]


def refs(*texts: str | int) -> tuple[DeviceRef, ...]:
    return tuple(map(parse_device, texts))


def pool(name: str, *texts: str | int) -> Pool:
    return Pool(resource=resource_name(name), devices=refs(*texts))


def plan(gpus: list[Gpu], rules: DeviceRules, strategy: MigStrategy = "mixed") -> Plan:
    return plan_devices(Inventory(driver=None, gpus=tuple(gpus)), PlanOptions(mig_strategy=strategy, rules=rules))


def offered(made: Plan) -> dict[str, list[str]]:
    return {
        resource.removeprefix("nvidia.com/"): [device.id for device in offer.devices]
        for resource, offer in made.resources.items()
    }


def kept_back(made: Plan) -> dict[str, str]:
    return {each.device.id: each.why for each in made.reserved}


def test_a_pool_has_its_devices_and_nobody_else_has_them(gpu: MakeGpu) -> None:
    gpus = [gpu(0), gpu(1), gpu(2, ["1g.10gb", "1g.10gb", "3g.40gb"])]
    made = plan(gpus, DeviceRules(pools=(pool("team-a", 1, "2:1"), pool("big", "profile=3g.*"))))
    assert offered(made) == {
        "big": ["MIG-2-2"],
        "gpu": ["GPU-0"],
        "mig-1g.10gb": ["MIG-2-0"],
        "team-a": ["GPU-1", "MIG-2-1"],
    }
    assert (made.notes, made.reserved) == ((), ())


@pytest.mark.parametrize(
    "text", [2, "0000:02:00.0", "02:00.0", "00000000:02:00.0", "product=*H100*", "profile=1g.10gb"]
)
def test_what_names_a_gpu_means_its_mig_devices(gpu: MakeGpu, text: str | int) -> None:
    made = plan([gpu(2, ["1g.10gb", "1g.10gb"])], DeviceRules(pools=(pool("all-of-it", text),)))
    assert offered(made) == {"all-of-it": ["MIG-2-0", "MIG-2-1"]}


@pytest.mark.parametrize("strategy", ["none", "single"])
def test_a_pool_may_have_what_the_mig_strategy_does_not_advertise(gpu: MakeGpu, strategy: MigStrategy) -> None:
    made = plan([gpu(0), gpu(1, ["1g.10gb", None])], DeviceRules(pools=(pool("odd", "1:1"),)), strategy)
    assert offered(made).pop("odd") == ["MIG-1-1"]
    assert "MIG-1-0" in kept_back(made)


def test_a_device_that_two_pools_want_goes_to_neither(gpu: MakeGpu) -> None:
    made = plan([gpu(0), gpu(1)], DeviceRules(pools=(pool("a", 0), pool("b", "product=*H100*"))))
    assert offered(made) == {"b": ["GPU-1"]}
    assert kept_back(made) == {"GPU-0": "the pools a and b both want it"}
    assert made.notes == ("Device 0 (GPU-0) is not advertised: the pools a and b both want it.",)


def test_reserved_excluded_and_not_included_devices_are_kept_back_for_their_reasons(gpu: MakeGpu) -> None:
    rules = DeviceRules(
        include=refs(0, 1, 2, 3),
        exclude=refs(1, 2),
        reserved=(Reservation(devices=refs(2), why="broken fan"),),
        pools=(pool("a", 1, 3),),
    )
    made = plan([gpu(index) for index in range(5)], rules)
    assert offered(made) == {"gpu": ["GPU-0"], "a": ["GPU-3"]}
    assert kept_back(made) == {
        "GPU-1": "devices.exclude of the config file names it",
        "GPU-2": "broken fan",
        "GPU-4": "devices.include of the config file does not name it",
    }


def test_what_means_nothing_now_is_a_note_and_no_more(gpu: MakeGpu) -> None:
    rules = DeviceRules(
        include=refs(0, 7),
        exclude=refs("0:3"),
        reserved=(Reservation(devices=refs("aa:00.0"), why="x"),),
        pools=(pool("a", "product=A100"),),
    )
    made = plan([gpu(0)], rules)
    assert offered(made) == {"gpu": ["GPU-0"]}
    assert made.notes == (
        "devices.include: 7 means no device that this node has now.",
        "devices.exclude: 0:3 means no device that this node has now.",
        "reserved[0]: 0000:aa:00.0 means no device that this node has now.",
        "pool a: product=A100 means no device that this node has now.",
    )


def test_resources_are_named_by_the_first_pattern_that_matches_the_whole_name(gpu: MakeGpu) -> None:
    def named(*pairs: tuple[str, str]) -> tuple[NamePattern, ...]:
        return tuple(NamePattern(pattern=pattern, resource=resource_name(name)) for pattern, name in pairs)

    names = ResourceNames(
        gpus=named(("H100", "part"), ("NVIDIA-A40", "a40"), ("*H100*", "h100"), ("*", "other")),
        mig=named(("1g.10gb", "small"), ("1g.10gb*", "small-me")),
    )
    gpus = [gpu(0), replace(gpu(1), model="NVIDIA A40"), replace(gpu(2), model="Tesla T4"),
            gpu(3, ["1g.10gb", "1g.10gb+me", "3g.40gb"])]  # fmt: skip
    assert offered(plan(gpus, DeviceRules(names=names))) == {
        "a40": ["GPU-1"], "h100": ["GPU-0"], "mig-3g.40gb": ["MIG-3-2"], "other": ["GPU-2"], "small": ["MIG-3-0"],
        "small-me": ["MIG-3-1"],
    }  # fmt: skip
    assert offered(plan(gpus[3:], DeviceRules(names=names), "single")) == {}
    uniform = [gpu(3, ["1g.10gb"])]
    assert offered(plan(uniform, DeviceRules(names=names), "single")) == {"small": ["MIG-3-0"]}


TEXTS = st.sampled_from([0, 1, 2, 3, 9, "2:0", "2:1", "3:0", "01:00.0", "product=*", "product=*A40", "profile=1g*"])
LISTS = st.lists(TEXTS, max_size=3, unique=True)


@given(LISTS, LISTS, LISTS, LISTS, st.none() | LISTS, st.sampled_from(["none", "single", "mixed"]))
def test_every_device_is_in_one_place_whatever_the_rules(
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
    made = plan(gpus, rules, strategy)
    places = sorted([each for ids in offered(made).values() for each in ids] + list(kept_back(made)))
    assert places == ["GPU-0", "GPU-1", "MIG-2-0", "MIG-2-1", "MIG-3-0"]
    given_away = [device for offer in made.resources.values() for device in offer.devices]
    assert not any(ref.means(device) for device in given_away for ref in refs(*kept, *out))
