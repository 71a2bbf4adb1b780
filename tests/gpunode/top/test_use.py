"""The use of devices from NVML's values."""

from gpu_core.domain.inventory import Fault, Inventory
from gpu_core.domain.usage import GpuUsage, InstanceUsage, MemoryUsage, Utilization
from gpu_core.pods.holders import select_holders
from gpunode.top.use import DeviceUse, describe_use, sort_uses
from tests.gpu_core.pods.nodes import gpu, mig, pod, uuid

GIB = 1 << 30
WHOLE, PARTED = gpu(0), gpu(1, mig(7, 9), mig(8, 9, "1c.2g.20gb", compute_instance=1), mig(6, 3))


def inventory(*gpus: object, **changes: object) -> Inventory:
    return Inventory(driver=None, gpus=gpus, **changes)  # type: ignore[arg-type]


def test_a_gpu_with_all_values_and_a_pod() -> None:
    usage = GpuUsage(
        gpu=WHOLE.uuid,
        utilization=Utilization(gpu=93, memory=40),
        memory=MemoryUsage(total=80 * GIB, used=60 * GIB, free=20 * GIB),
        power=612.4,
        temperature=71,
    )
    holders = select_holders([pod("a", f"GPU-{uuid(0)}")], [WHOLE])
    assert describe_use(inventory(WHOLE), {WHOLE.uuid: usage}, holders) == (
        DeviceUse(
            node="",
            device="GPU 0",
            model=WHOLE.model,
            utilization=93,
            memory_used_mib=61440,
            memory_total_mib=81920,
            power=612.4,
            temperature=71,
            pods=("team/a",),
        ),
    )


def test_a_gpu_instance_with_two_compute_instances_is_one_device() -> None:
    memory = MemoryUsage(total=20 * GIB, used=GIB, free=19 * GIB)
    usage = GpuUsage(gpu=PARTED.uuid, instances=(InstanceUsage(gpu_instance=9, memory=memory),))
    holders = select_holders([pod("a", f"MIG-{uuid(7)}"), pod("b", f"MIG-{uuid(8)}")], [PARTED])
    _, third, ninth = describe_use(inventory(PARTED), {PARTED.uuid: usage}, holders)
    assert (third.device, third.memory_used_mib, third.pods) == ("GPU 1 GI 3", None, ())
    assert (ninth.device, ninth.memory_used_mib, ninth.pods) == ("GPU 1 GI 9", 1024, ("team/a", "team/b"))
    assert "1c.2g.20gb" in ninth.profile


def test_a_gpu_that_cannot_be_read_states_why() -> None:
    lost = GpuUsage(gpu=WHOLE.uuid, fault="nvmlDeviceGetPowerUsage returned GPU_IS_LOST")
    fault = Fault(index=5, uuid=None, reason="nvmlDeviceGetHandleByIndex returned UNKNOWN")
    first, second = describe_use(inventory(WHOLE, faults=(fault,)), {WHOLE.uuid: lost}, select_holders([], []))
    assert first.problem == lost.fault
    assert (second.device, second.problem) == ("GPU 5", f"cannot be read: {fault.reason}")


def test_devices_are_sorted_by_node_and_retain_their_order() -> None:
    uses = [DeviceUse(node=node, device=device, model="") for node, device in ("b0", "a1", "b1", "a0")]
    assert [use.node + use.device for use in sort_uses(uses)] == ["a1", "a0", "b0", "b1"]
