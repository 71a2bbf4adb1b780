"""The MPS daemons of a plan."""

from device_plugin.mps_plan import plan_mps
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from gpu_core.domain.inventory import Fault, Inventory
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpu_core.nvml.inventory import read_inventory
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario

SHARED = PlanOptions(
    sharing=Sharing(
        strategy=SharingStrategy.MPS,
        resources=(SharedResource(resource=GPU, replicas=4, advertised=GPU),),
        fail_requests_greater_than_one=True,
    )
)


def eight() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


def test_the_specification_lists_each_gpu_with_memory_and_replicas() -> None:
    (desired,) = plan_mps(plan_devices(eight(), SHARED), eight()).values()
    assert [gpu.uuid for gpu in desired.gpus] == [gpu.uuid for gpu in eight().gpus]
    assert {(gpu.memory_mib, gpu.replicas) for gpu in desired.gpus} == {(81559, 4)}


def test_a_lost_gpu_remains_in_the_specification() -> None:
    plan = plan_devices(eight(), SHARED)
    before = plan_mps(plan, eight())
    gone = eight().gpus[3]
    fault = Fault(index=3, uuid=gone.uuid, reason="GPU_IS_LOST")
    hurt = replace(eight(), gpus=tuple(gpu for gpu in eight().gpus if gpu is not gone and gpu != gone), faults=(fault,))
    assert plan_mps(plan_devices(hurt, SHARED, known=plan), hurt, before) == before


def test_resources_that_are_not_shared_by_mps_have_no_daemon() -> None:
    assert plan_mps(plan_devices(eight(), PlanOptions()), eight()) == {}
