"""Replicas of shared devices."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Plan
from device_plugin.mps_plan import plan_mps
from device_plugin.plan.node import MPS_WITH_MIG, plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from device_plugin.wire import render_device
from gpu_core.domain.device_rules import DeviceRules, Pool
from gpu_core.domain.inventory import ComputeCapability, CudaVersion, Driver, Fault, Gpu, GpuUuid, Inventory
from gpu_core.domain.resources import GPU, ResourceName, resource_name
from gpu_core.domain.selection import AllDevices, DeviceCount, DeviceSelection, parse_device, parse_devices
from gpu_core.domain.sharing import LIST_BYTES, SharedResource, Sharing, SharingStrategy
from node_core.values import replace
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


def make_plan(
    gpus: list[Gpu], sharing: Sharing, strategy: MigStrategy = "mixed", known: Plan | None = None, **more: object
) -> Plan:
    options = PlanOptions(mig_strategy=strategy, sharing=sharing, **more)  # type: ignore[arg-type]
    return plan_devices(Inventory(driver=None, gpus=tuple(gpus)), options, known=known)


def offered(plan: Plan) -> dict[str, list[str]]:
    return {
        resource.removeprefix("nvidia.com/"): [device.id for device in offer.devices]
        for resource, offer in plan.resources.items()
    }


def test_every_gpu_has_the_configured_number_of_replicas(gpu: MakeGpu) -> None:
    plan = make_plan([gpu(0), gpu(1, numa=1)], share(entry(3), fail=True), policy="packed")
    assert offered(plan) == {"gpu": [f"GPU-{index}::{replica}" for index in range(2) for replica in range(3)]}
    offer = plan.resources[GPU]
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
def test_devices_that_are_not_shared_retain_name_and_id(
    gpu: MakeGpu, devices: DeviceSelection, expected: dict[str, list[str]]
) -> None:
    gpus = [gpu(0), gpu(1)]
    plan = make_plan(gpus, share(entry(2, devices, as_=SHARED), fail=True))
    assert offered(plan) == expected
    plain = plan.resources.get(GPU)
    assert plain is None or (plain.sharing, plain.fail_requests_greater_than_one) == (None, False)
    together = make_plan(gpus, share(entry(2, devices)))
    assert sorted(offered(together)["gpu"]) == sorted(each for ids in expected.values() for each in ids)


def test_gpus_of_one_resource_can_have_different_replicas_and_names(gpu: MakeGpu) -> None:
    plan = make_plan(
        [gpu(index) for index in range(4)],
        share(entry(2, parse_devices([0])), entry(4, parse_devices([1]), as_=SHARED), entry(3, parse_devices([2]))),
    )
    assert {name: len(ids) for name, ids in offered(plan).items()} == {"gpu": 2 + 3 + 1, "gpu.shared": 4}


def test_mig_devices_are_shared_by_their_profile_resource(gpu: MakeGpu) -> None:
    small = resource_name("mig-1g.10gb")
    gpus = [gpu(0, ["1g.10gb", "1g.10gb", "3g.40gb"])]
    plan = make_plan(gpus, share(entry(2, parse_devices(["0:1"]), of=small, as_=resource_name("slice"))))
    assert offered(plan) == {
        "mig-1g.10gb": ["MIG-0-0"],
        "mig-3g.40gb": ["MIG-0-2"],
        "slice": ["MIG-0-1::0", "MIG-0-1::1"],
    }
    single = make_plan([gpu(0, ["1g.10gb", "1g.10gb"])], share(entry(2)), "single")
    assert len(offered(single)["gpu"]) == 4


def test_a_pool_can_be_shared(gpu: MakeGpu) -> None:
    name = resource_name("team-a")
    rules = DeviceRules(pools=(Pool(resource=name, devices=(parse_device(1),)),))
    plan = make_plan([gpu(0), gpu(1)], share(entry(2, of=name)), rules=rules)
    assert offered(plan) == {"gpu": ["GPU-0"], "team-a": ["GPU-1::0", "GPU-1::1"]}


def test_sharing_that_cannot_be_applied_is_a_note(gpu: MakeGpu) -> None:
    plan = make_plan(
        [gpu(0)],
        share(
            entry(2, parse_devices([0, 5])),
            entry(3, parse_devices(["00:00.0"])),
            entry(2, DeviceCount(count=3), of=resource_name("mig-1g.10gb")),
        ),
    )
    assert offered(plan) == {"gpu": ["GPU-0::0", "GPU-0::1"]}
    assert plan.notes == (
        "nvidia.com/gpu: the config shares 5, but no device on this node matches it.",
        "nvidia.com/gpu: the config shares GPU 0 (GPU-0) twice; the first entry applies.",
        "The config shares nvidia.com/mig-1g.10gb, but no device on this node is advertised under that name.",
    )
    assert make_plan([gpu(0)], share(entry(2, DeviceCount(count=3)))).notes == (
        "nvidia.com/gpu: the config shares 3 devices, but the node has 1.",
    )


@pytest.mark.parametrize(
    ("compute", "most"), [((9, 0), 48), ((7, 0), 48), ((6, 1), 16), (None, 16)], ids=["hopper", "volta", "pascal", "?"]
)
def test_mps_limits_replicas_to_the_supported_clients(gpu: MakeGpu, compute: tuple[int, int] | None, most: int) -> None:
    one = replace(gpu(0), compute=compute and ComputeCapability(major=compute[0], minor=compute[1]))
    plan = make_plan([one], share(entry(60), by=MPS, fail=True))
    assert (len(offered(plan)["gpu"]), plan.resources[GPU].sharing) == (most, MPS)
    assert plan.notes == (f"nvidia.com/gpu: GPU 0 (GPU-0) supports {most} MPS clients, not 60.",)
    assert make_plan([one], share(entry(most), by=MPS)).notes == ()
    assert len(offered(make_plan([one], share(entry(60))))["gpu"]) == 60


def test_a_driver_for_cuda_13_1_supports_more_mps_clients(gpu: MakeGpu) -> None:
    one = replace(gpu(0), compute=ComputeCapability(major=10, minor=0))
    driver = Driver(version="590.44.01", cuda=CudaVersion(major=13, minor=1))
    options = PlanOptions(sharing=share(entry(100), by=MPS))
    plan = plan_devices(Inventory(driver=driver, gpus=(one,)), options)
    assert plan.notes == ("nvidia.com/gpu: GPU 0 (GPU-0) supports 60 MPS clients, not 100.",)
    assert len(offered(plan)["gpu"]) == 60


def test_mps_with_mig_shares_nothing_even_while_the_mig_gpu_is_lost(gpu: MakeGpu) -> None:
    mps, gpus = share(entry(2), by=MPS), [gpu(0), gpu(1, ["1g.10gb"])]
    plan = make_plan(gpus, mps)
    assert offered(plan) == {"gpu": ["GPU-0"], "mig-1g.10gb": ["MIG-1-0"]}
    assert plan.notes == (MPS_WITH_MIG,)
    lost = Inventory(driver=None, gpus=(gpu(0),), faults=(Fault(index=1, uuid=gpu(1).uuid, reason="lost"),))
    options = PlanOptions(mig_strategy="mixed", sharing=mps)
    assert offered(plan_devices(lost, options, known=plan)) == offered(plan)
    assert len(offered(make_plan([gpu(0)], mps, known=plan))["gpu"]) == 2


def test_replicas_become_unhealthy_and_healthy_together(gpu: MakeGpu) -> None:
    sharing = share(entry(2))
    known = make_plan([gpu(0), gpu(1)], sharing)
    lost = Inventory(driver=None, gpus=(gpu(0),), faults=(Fault(index=1, uuid=gpu(1).uuid, reason="lost"),))
    failed = plan_devices(lost, PlanOptions(mig_strategy="mixed", sharing=sharing), known=known)
    assert [device.is_healthy for device in failed.resources[GPU].devices] == [True, True, False, False]
    assert make_plan([gpu(0), gpu(1)], sharing, known=failed) == known


SELECTIONS = (ALL, DeviceCount(count=2), parse_devices([0, 2]), parse_devices(["product=*"]))


@given(
    st.lists(st.tuples(st.integers(2, 5), st.sampled_from(SELECTIONS)), max_size=4),
    st.integers(0, 5),
    st.sampled_from([TIME, MPS]),
)
def test_every_device_is_shared_once_or_not_at_all(
    entries: list[tuple[int, DeviceSelection]], count: int, by: SharingStrategy
) -> None:
    names = [GPU, SHARED, resource_name("a"), resource_name("b")]
    sharing = share(
        *(entry(replicas, devices, as_=name) for (replicas, devices), name in zip(entries, names, strict=False)), by=by
    )
    plan = make_plan([make_gpu(index) for index in range(count)], sharing)
    devices = [device for offer in plan.resources.values() for device in offer.devices]
    assert len({device.id for device in devices}) == len(devices)
    by_uuid: dict[str, list[int | None]] = {}
    for device in devices:
        by_uuid.setdefault(device.uuid, []).append(device.replica)
    assert len(by_uuid) == count
    assert all(found == [None] or found == list(range(len(found))) for found in by_uuid.values())


def test_replicas_beyond_the_message_limit_of_the_kubelet_are_cut_with_one_note(gpu: MakeGpu) -> None:
    gpus = [
        replace(gpu(index, numa=1), uuid=GpuUuid(f"GPU-4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d6{index}"))
        for index in range(2)
    ]
    plan = make_plan(gpus, share(entry(10**9)))
    devices = plan.resources[GPU].devices
    assert len(devices) == 2 * 30840
    assert plan.notes == (
        "nvidia.com/gpu: each device has 30840 replicas, not 1000000000: the kubelet accepts no longer list of devices.",
    )
    sizes = [render_device(replace(device, why_unhealthy="x")).ByteSize() + 2 for device in (devices[0], devices[-1])]
    assert sum(sizes) * len(devices) / 2 <= LIST_BYTES < sizes[1] * (len(devices) + 2)


def test_many_replicas_below_the_limit_are_not_cut(gpu: MakeGpu) -> None:
    plan = make_plan([gpu(0)], share(entry(16384)))
    assert len(plan.resources[GPU].devices) == 16384
    assert plan.notes == ()


def test_mps_with_one_replica_offers_each_gpu_once_and_allocates_several_to_a_container(gpu: MakeGpu) -> None:
    plan = make_plan([gpu(0), gpu(1)], share(entry(1), by=MPS, fail=True))
    assert offered(plan) == {"gpu": ["GPU-0::0", "GPU-1::0"]}
    assert plan.resources[GPU].sharing is MPS
    assert not plan.resources[GPU].fail_requests_greater_than_one, "two devices are two GPUs"
    (daemon,) = plan_mps(plan, Inventory(driver=None, gpus=(gpu(0), gpu(1)))).values()
    assert daemon.settings.commands == (
        "set_default_device_pinned_mem_limit 0 81920M",
        "set_default_device_pinned_mem_limit 1 81920M",
        "set_default_active_thread_percentage 100",
    )
