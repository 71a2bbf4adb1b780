"""Builds topologies, also random ones."""

from hypothesis import strategies as st

from gpu_core.domain.inventory import Gpu, Inventory, PciPath, PciPeer
from gpunode.topo.links import Topology, describe_topology
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu
from tests.device_plugin.plan.plans import inventory


def topology(*gpus: Gpu) -> Topology:
    return describe_topology(inventory(*gpus), {})


def inventories(max_gpus: int = 12) -> st.SearchStrategy[Inventory]:
    """Nodes with any links, paths, NUMA nodes and MIG devices."""
    return st.integers(1, max_gpus).flatmap(lambda count: st.builds(_build, st.just(count), st.data()))


def _build(count: int, data: st.DataObject) -> Inventory:
    numbers = range(count)
    gpus = [
        make_gpu(
            index,
            data.draw(st.none() | st.lists(st.sampled_from(["1g.10gb+me", "7g.80gb", None]), max_size=7)),
            numa=data.draw(st.sampled_from([None, 0, 1])),
            links=data.draw(
                st.dictionaries(st.sampled_from([at for at in numbers if at != index] or [99]), st.integers(1, 18))
            ),
        )
        for index in numbers
    ]
    paths = data.draw(st.lists(st.sampled_from(PciPath), min_size=count, max_size=count))
    switch_links = data.draw(st.sampled_from([0, 18]))
    return inventory(
        *(
            replace(
                gpu,
                switch_links=switch_links,
                pci_peers=tuple(
                    PciPeer(gpu=other.uuid, path=paths[(gpu.index + other.index) % count])
                    for other in gpus
                    if other is not gpu
                ),
            )
            for gpu in gpus
        )
    )
