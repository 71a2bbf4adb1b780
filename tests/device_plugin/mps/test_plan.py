"""Which MPS daemons a plan needs."""

from dataclasses import replace

from device_plugin.mps.plan import mps_access, plan_mps
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from node_core.domain.inventory import Fault, Inventory
from node_core.domain.resources import GPU
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.host.nvml.inventory import read_inventory
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario

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


def test_every_shared_gpu_has_its_place_memory_and_replicas() -> None:
    (wanted,) = plan_mps(plan_devices(eight(), SHARED), eight()).values()
    assert [gpu.uuid for gpu in wanted.gpus] == [gpu.uuid for gpu in eight().gpus]
    assert {(gpu.memory_mib, gpu.replicas) for gpu in wanted.gpus} == {(81559, 4)}


def test_a_gpu_that_is_lost_does_not_end_the_daemon_of_the_others() -> None:
    plan = plan_devices(eight(), SHARED)
    before = plan_mps(plan, eight())
    gone = eight().gpus[3]
    fault = Fault(index=3, uuid=gone.uuid, reason="GPU_IS_LOST")
    hurt = replace(eight(), gpus=tuple(gpu for gpu in eight().gpus if gpu is not gone and gpu != gone), faults=(fault,))
    assert plan_mps(plan_devices(hurt, SHARED, known=plan), hurt, before) == before


def test_what_is_not_shared_by_mps_needs_no_daemon() -> None:
    assert plan_mps(plan_devices(eight(), PlanOptions()), eight()) == {}


def test_containers_meet_the_daemon_where_upstreams_do() -> None:
    access = mps_access(GPU, "/run/nvidia/mps/")
    assert access.pipe == "/run/nvidia/mps/nvidia.com/gpu/pipe"
    assert (access.shm, access.inside) == ("/run/nvidia/mps/shm", "/mps/nvidia.com/gpu/pipe")
