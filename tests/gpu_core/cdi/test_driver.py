"""The driver's files in every GPU container."""

from pathlib import PurePosixPath

from gpu_core.cdi.options import EXPLICIT_LIBRARIES, NO_IPC
from node_core.values import replace
from tests.gpu_core.cdi.conftest import LoadNode, Node
from tests.gpu_core.cdi.specs import gpu_spec, without


def test_libraries_that_images_contain_are_mounted_on_request(load_node: LoadNode) -> None:
    def libraries(node: Node) -> set[str]:
        return {PurePosixPath(mount.host_path).name for mount in gpu_spec(node.plan()).edits.mounts}

    node = load_node("debian")
    more = libraries(node.with_options(feature_flags={EXPLICIT_LIBRARIES})) - libraries(node)
    assert {"libEGL.so.1.1.0", "libGLX.so.0.0.0", "libOpenCL.so.1.0.0", "libnvidia-api.so.1"} <= more


def test_sockets_can_be_omitted(load_node: LoadNode) -> None:
    node = load_node("debian")
    sockets = {mount.container_path for mount in gpu_spec(node.plan()).edits.mounts if "ro" not in mount.options}
    assert sockets == {"/run/nvidia-persistenced/socket", "/tmp/nvidia-mps"}
    plan = node.with_options(feature_flags={NO_IPC}).plan()
    assert all("ro" in mount.options for mount in gpu_spec(plan).edits.mounts)


def test_a_kernel_module_older_than_the_libraries_is_reported(load_node: LoadNode) -> None:
    node = load_node("k3s")
    inventory = replace(node.inventory, driver=replace(node.inventory.driver, version="535.1.1"))  # type: ignore[type-var]
    notes = replace(node, inventory=inventory).plan().notes
    assert (
        "The loaded driver is 535.1.1, but the libraries below / are 580.178.04: load the installed kernel module."
        in notes
    )


def test_missing_control_nodes_are_reported(load_node: LoadNode) -> None:
    plan = without(load_node("k3s"), "/dev/nvidia-uvm", "/dev/nvidia-modeset").plan()
    assert [note for note in plan.notes if "CUDA does not work" in note] == [
        "The device node /dev/nvidia-uvm does not exist: CUDA does not work in containers without it."
    ]
