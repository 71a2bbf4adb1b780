"""Replicas: of which devices, how many, and under what name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Plan
from device_plugin.plan.node import HINDERED, plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from node_core.domain.device_rules import DeviceRules, Pool
from node_core.domain.inventory import ComputeCapability, Fault, Gpu, Inventory
from node_core.domain.resources import GPU, ResourceName, resource_name
from node_core.domain.selection import AllDevices, DeviceCount, DeviceSelection, parse_device, parse_devices
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from tests.device_plugin.conftest import make_gpu

MakeGpu = Callable[..., Gpu]
TIME, MPS = SharingStrategy.TIME_SLICING, SharingStrategy.MPS
ALL = AllDevices()
SHARED = resource_name("gpu.shared")


def entry(
    replicas: int, devices: DeviceSelection = ALL, *, of: ResourceName = GPU, as_: ResourceName | None = None
) -> SharedResource:
    return SharedResource(resource=of, replicas=replicas, advertised=as_ or of, devices=devices)


def share(*entries: SharedResource, by: SharingStrategy = TIME, fail: bool = False) -> Sharing:
    return Sharing(strategy=by, resources=entries, fail_requests_greater_than_one=fail)


def plan(
    gpus: list[Gpu], sharing: Sharing, strategy: MigStrategy = "mixed", known: Plan | None = None, **more: object
) -> Plan:
    options = PlanOptions(mig_strategy=strategy, sharing=sharing, **more)  # type: ignore[arg-type]
    return plan_devices(Inventory(driver=None, gpus=tuple(gpus)), options, known=known)


def offered(made: Plan) -> dict[str, list[str]]:
    return {
        resource.removeprefix("nvidia.com/"): [device.id for device in offer.devices]
        for resource, offer in made.resources.items()
    }


def test_every_gpu_is_there_so_many_times_and_knows_which_it_is(gpu: MakeGpu) -> None:
    made = plan([gpu(0), gpu(1, numa=1)], share(entry(3), fail=True), policy="packed")
    assert offered(made) == {"gpu": [f"GPU-{index}::{replica}" for index in range(2) for replica in range(3)]}
    offer = made.resources[GPU]
    assert (offer.sharing, offer.fail_requests_greater_than_one, offer.policy) == (TIME, True, "packed")
    last = offer.devices[-1]
    assert (last.uuid, last.replica, last.index, last.gpu, last.numa_node) == ("GPU-1", 2, "1", "GPU-1", 1)
    assert last.paths == ("/dev/nvidia1",)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (ALL, {"gpu.shared": ["GPU-0::0", "GPU-0::1", "GPU-1::0", "GPU-1::1"]}),
        (DeviceCount(count=1), {"gpu.shared": ["GPU-0::0", "GPU-0::1"], "gpu": ["GPU-1"]}),
        (parse_devices([1]), {"gpu.shared": ["GPU-1::0", "GPU-1::1"], "gpu": ["GPU-0"]}),
        (parse_devices(["01:00.0"]), {"gpu.shared": ["GPU-1::0", "GPU-1::1"], "gpu": ["GPU-0"]}),
    ],
    ids=["all", "a count", "an index", "an address"],
)
def test_what_is_not_shared_keeps_the_plain_name_and_id(
    gpu: MakeGpu, devices: DeviceSelection, expected: dict[str, list[str]]
) -> None:
    gpus = [gpu(0), gpu(1)]
    made = plan(gpus, share(entry(2, devices, as_=SHARED), fail=True))
    assert offered(made) == expected
    plain = made.resources.get(GPU)
    assert plain is None or (plain.sharing, plain.fail_requests_greater_than_one) == (None, False)
    together = plan(gpus, share(entry(2, devices)))
    assert sorted(offered(together)["gpu"]) == sorted(each for ids in expected.values() for each in ids)


def test_gpus_of_one_resource_may_have_different_replicas_and_names(gpu: MakeGpu) -> None:
    made = plan(
        [gpu(index) for index in range(4)],
        share(entry(2, parse_devices([0])), entry(4, parse_devices([1]), as_=SHARED), entry(3, parse_devices([2]))),
    )
    assert {name: len(ids) for name, ids in offered(made).items()} == {"gpu": 2 + 3 + 1, "gpu.shared": 4}


def test_mig_devices_are_shared_by_the_name_of_their_profile(gpu: MakeGpu) -> None:
    small = resource_name("mig-1g.10gb")
    gpus = [gpu(0, ["1g.10gb", "1g.10gb", "3g.40gb"])]
    made = plan(gpus, share(entry(2, parse_devices(["0:1"]), of=small, as_=resource_name("slice"))))
    assert offered(made) == {
        "mig-1g.10gb": ["MIG-0-0"],
        "mig-3g.40gb": ["MIG-0-2"],
        "slice": ["MIG-0-1::0", "MIG-0-1::1"],
    }
    single = plan([gpu(0, ["1g.10gb", "1g.10gb"])], share(entry(2)), "single")
    assert len(offered(single)["gpu"]) == 4


def test_a_pool_is_shared_by_its_name(gpu: MakeGpu) -> None:
    name = resource_name("team-a")
    rules = DeviceRules(pools=(Pool(resource=name, devices=(parse_device(1),)),))
    made = plan([gpu(0), gpu(1)], share(entry(2, of=name)), rules=rules)
    assert offered(made) == {"gpu": ["GPU-0"], "team-a": ["GPU-1::0", "GPU-1::1"]}


def test_what_cannot_be_shared_as_asked_is_a_note(gpu: MakeGpu) -> None:
    made = plan(
        [gpu(0)],
        share(
            entry(2, parse_devices([0, 5])),
            entry(3, parse_devices(["00:00.0"])),
            entry(2, DeviceCount(count=3), of=resource_name("mig-1g.10gb")),
        ),
    )
    assert offered(made) == {"gpu": ["GPU-0::0", "GPU-0::1"]}
    assert made.notes == (
        "nvidia.com/gpu: 5 is to be shared, and no such device is there now.",
        "nvidia.com/gpu: device 0 is to be shared in two ways; the first one counts.",
        "nvidia.com/mig-1g.10gb is to be shared, and no device has that name now.",
    )
    assert plan([gpu(0)], share(entry(2, DeviceCount(count=3)))).notes == (
        "nvidia.com/gpu: 3 devices are to be shared, and there are 1.",
    )


@pytest.mark.parametrize(
    ("compute", "most"), [((9, 0), 48), ((7, 0), 48), ((6, 1), 16), (None, 16)], ids=["hopper", "volta", "pascal", "?"]
)
def test_mps_serves_as_many_clients_as_a_gpu_can_have(gpu: MakeGpu, compute: tuple[int, int] | None, most: int) -> None:
    one = replace(gpu(0), compute=compute and ComputeCapability(major=compute[0], minor=compute[1]))
    made = plan([one], share(entry(60), by=MPS, fail=True))
    assert (len(offered(made)["gpu"]), made.resources[GPU].sharing) == (most, MPS)
    assert made.notes == (f"nvidia.com/gpu: GPU 0 can have {most} MPS clients, not 60.",)
    assert plan([one], share(entry(most), by=MPS)).notes == ()
    assert len(offered(plan([one], share(entry(60))))["gpu"]) == 60


def test_mps_beside_mig_shares_nothing_also_while_that_gpu_is_lost(gpu: MakeGpu) -> None:
    mps, gpus = share(entry(2), by=MPS), [gpu(0), gpu(1, ["1g.10gb"])]
    made = plan(gpus, mps)
    assert offered(made) == {"gpu": ["GPU-0"], "mig-1g.10gb": ["MIG-1-0"]}
    assert made.notes == (HINDERED,)
    lost = Inventory(driver=None, gpus=(gpu(0),), faults=(Fault(index=1, uuid=gpu(1).uuid, reason="lost"),))
    options = PlanOptions(mig_strategy="mixed", sharing=mps)
    assert offered(plan_devices(lost, options, known=made)) == offered(made)
    assert len(offered(plan([gpu(0)], mps, known=made))["gpu"]) == 2


def test_replicas_fail_and_come_back_together(gpu: MakeGpu) -> None:
    sharing = share(entry(2))
    known = plan([gpu(0), gpu(1)], sharing)
    lost = Inventory(driver=None, gpus=(gpu(0),), faults=(Fault(index=1, uuid=gpu(1).uuid, reason="lost"),))
    failed = plan_devices(lost, PlanOptions(mig_strategy="mixed", sharing=sharing), known=known)
    assert [device.healthy for device in failed.resources[GPU].devices] == [True, True, False, False]
    assert plan([gpu(0), gpu(1)], sharing, known=failed) == known


SELECTIONS = (ALL, DeviceCount(count=2), parse_devices([0, 2]), parse_devices(["product=*"]))


@given(
    st.lists(st.tuples(st.integers(2, 5), st.sampled_from(SELECTIONS)), max_size=4),
    st.integers(0, 5),
    st.sampled_from([TIME, MPS]),
)
def test_no_device_is_shared_twice_or_forgotten(
    entries: list[tuple[int, DeviceSelection]], count: int, by: SharingStrategy
) -> None:
    names = [GPU, SHARED, resource_name("a"), resource_name("b")]
    sharing = share(
        *(entry(replicas, devices, as_=name) for (replicas, devices), name in zip(entries, names, strict=False)), by=by
    )
    made = plan([make_gpu(index) for index in range(count)], sharing)
    devices = [device for offer in made.resources.values() for device in offer.devices]
    assert len({device.id for device in devices}) == len(devices)
    by_uuid: dict[str, list[int | None]] = {}
    for device in devices:
        by_uuid.setdefault(device.uuid, []).append(device.replica)
    assert len(by_uuid) == count
    assert all(found == [None] or found == list(range(len(found))) for found in by_uuid.values())
