"""The labels for MIG and MPS support."""

from tests.gfd.labelers.inventories import gpu, labels_below, node


def test_a_node_is_mig_capable_if_one_gpu_is_and_mps_capable_only_with_sharing_by_mps() -> None:
    assert labels_below("mig.capable", node(gpu(0), gpu(1))) == {"": "false"}
    assert labels_below("mig.capable", node(gpu(0), gpu(1, mig_capable=True))) == {"": "true"}
    assert labels_below("mps.capable", node(gpu(0))) == {"": "false"}
