"""The last line of `gpunode nodes`."""

from gpunode.cluster.fleet import GpuNode, Resource
from gpunode.nodes.totals import Totals


def test_totals_count_each_resource_and_the_devices_that_pods_cannot_get() -> None:
    totals = Totals()
    gpus = Resource(name="nvidia.com/gpu", capacity=8, allocatable=7, allocated=2)
    slices = Resource(name="nvidia.com/mig-1g.5gb", capacity=4, allocatable=4)
    totals.add(GpuNode(name="a", resources=(gpus, slices), problems=("x",)))
    totals.add(GpuNode(name="b", resources=(gpus,), is_schedulable=False))
    assert totals.render() == (
        "2 nodes, 1 with problems. Free: 10 of 14 nvidia.com/gpu, 4 of 4 nvidia.com/mig-1g.5gb (5 on nodes that get no pods)."
        " Unhealthy: 2."
    )


def test_a_node_without_devices() -> None:
    totals = Totals()
    totals.add(GpuNode(name="a"))
    assert totals.render() == "1 node."
