from gpu_core.domain.inventory import GpuUuid, MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu, Placement
from gpu_core.mig.plan import GpuPlan, Layout, NewInstance, plan_restore, plan_result, read_layout

SMALL, LARGE = Placement(start=0, size=1), Placement(start=4, size=4)


def compute(id_: int, profile: int, name: str = "") -> ComputeInstance:
    return ComputeInstance(id=id_, profile=profile, uuid=MigUuid(name) if name else None)


def gpu(*instances: GpuInstance, is_enabled: bool = True, is_pending: bool = True) -> MigGpu:
    return MigGpu(
        index=0,
        uuid=GpuUuid("GPU-0"),
        model="H100",
        address=None,
        pci_id="0x233010DE",
        pci_subsystem=None,
        is_enabled=is_enabled,
        is_pending=is_pending,
        total_memory=80 << 30,
        instances=instances,
    )


ONE = GpuInstance(id=7, profile=0, placement=SMALL, compute=(compute(0, 0, "MIG-a"),))
THREE = GpuInstance(
    id=2, profile=2, placement=LARGE, compute=(compute(0, 0, "MIG-b"), compute(1, 1, "MIG-c"), compute(2, 0))
)


def test_a_plan_names_the_mig_devices_that_it_destroys() -> None:
    plan = GpuPlan(gpu=gpu(ONE, THREE), destroy=(ONE,), destroy_compute=((2, THREE.compute[1]), (2, THREE.compute[2])))
    assert plan.destroyed_uuids == {"MIG-a", "MIG-c"}
    assert not plan.is_empty
    assert GpuPlan(gpu=gpu(ONE)).is_empty


def test_a_layout_contains_neither_ids_nor_uuids_and_its_largest_compute_instances_are_first() -> None:
    assert read_layout(gpu(THREE, ONE)) == Layout(
        is_enabled=True,
        instances=(
            NewInstance(profile=0, placement=SMALL, compute=(0,)),
            NewInstance(profile=2, placement=LARGE, compute=(1, 0, 0)),
        ),
    )


def test_the_result_of_a_plan_is_a_layout() -> None:
    plan = GpuPlan(
        gpu=gpu(ONE, THREE),
        destroy=(ONE,),
        destroy_compute=((2, THREE.compute[1]),),
        create=(NewInstance(profile=1, placement=Placement(start=0, size=2), compute=(1,)),),
        create_compute=((2, 0),),
    )
    assert plan_result(plan) == Layout(
        is_enabled=True,
        instances=(
            NewInstance(profile=1, placement=Placement(start=0, size=2), compute=(1,)),
            NewInstance(profile=2, placement=LARGE, compute=(0, 0, 0)),
        ),
    )


def test_a_restore_of_the_present_layout_is_empty() -> None:
    present = gpu(ONE, THREE)
    assert plan_restore(present, read_layout(present)).is_empty


def test_a_restore_retains_what_is_in_both_layouts() -> None:
    layout = Layout(
        is_enabled=True,
        instances=(
            NewInstance(profile=1, placement=Placement(start=0, size=2), compute=(1,)),
            NewInstance(profile=2, placement=LARGE, compute=(1, 1)),
        ),
    )
    plan = plan_restore(gpu(ONE, THREE), layout)
    assert (plan.destroy, plan.create) == ((ONE,), (layout.instances[0],))
    assert plan.destroy_compute == ((2, THREE.compute[0]), (2, THREE.compute[2]))
    assert plan.create_compute == ((2, 1),)
    assert plan_result(plan) == layout


def test_a_restore_sets_the_mode_also_if_only_the_pending_mode_differs() -> None:
    off = Layout(is_enabled=False)
    assert plan_restore(gpu(ONE), off) == GpuPlan(gpu=gpu(ONE), destroy=(ONE,), mode=False)
    assert plan_restore(gpu(is_enabled=False, is_pending=True), off).mode is False
    assert plan_restore(gpu(is_enabled=False, is_pending=False), off).is_empty
