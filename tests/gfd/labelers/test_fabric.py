"""The label of the NVLink clique."""

from gpu_core.domain.inventory import Fabric
from node_core.values import replace
from tests.gfd.labelers.inventories import gpu, labels_below, node


def test_the_clique_is_published_if_all_attached_gpus_share_it() -> None:
    one = Fabric(cluster_uuid="4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", clique=7)
    assert labels_below("gpu.clique", node(gpu(0, fabric=one), gpu(1))) == {"": f"{one.cluster_uuid}.7"}
    assert labels_below("gpu.clique", node(gpu(0, fabric=one), gpu(1, fabric=replace(one, clique=8)))) == {}
    assert labels_below("gpu.clique", node(gpu(0))) == {}
