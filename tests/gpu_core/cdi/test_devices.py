"""The CDI devices of GPUs and MIG devices."""

import pytest

from gpu_core.cdi.options import NO_GIDS
from gpu_core.cdi.roots import Roots
from gpu_core.domain.inventory import MigUuid
from gpu_core.host.device_nodes import HostNode
from gpu_core.host.mig_caps import MigCaps
from node_core.values import replace
from tests.gpu_core.cdi.conftest import CUT, MIGS, WHOLE, LoadNode, make_gpu, make_mig
from tests.gpu_core.cdi.specs import devices_of, gpu_spec, without


def test_devices_are_named_by_uuid_or_index(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert devices_of(node.plan()).keys() == {"all", WHOLE, *MIGS}
    by_index = node.with_options(id_strategy="index").plan()
    assert devices_of(by_index).keys() == {"all", "0", "1:0", "1:1"}
    assert by_index.names["gpu"] == {"all": "all", WHOLE: "0", MIGS[0]: "1:0", MIGS[1]: "1:1"}


def test_a_uuid_that_is_not_a_valid_name_is_replaced_by_the_index_with_a_note(load_node: LoadNode) -> None:
    node = load_node("k3s")
    legacy = MigUuid(f"MIG-{CUT}/2/0")
    gpus = (make_gpu(0, WHOLE), make_gpu(1, CUT, (make_mig(0, legacy, 2),)))
    plan = replace(node, inventory=replace(node.inventory, gpus=gpus)).plan()
    assert plan.names["gpu"][legacy] == "1:0"
    assert "1:0" in devices_of(plan)
    assert [note for note in plan.notes if "its index" in note] == [
        f"Device 1:0: the CDI name is its index, because {legacy!r} is not a valid CDI device name."
    ]


def test_the_device_all_contains_the_device_nodes_of_every_device(load_node: LoadNode) -> None:
    devices = devices_of(load_node("k3s").plan())
    union = {node.path for name, edits in devices.items() if name != "all" for node in edits.device_nodes}
    assert {node.path for node in devices["all"].device_nodes} == union


@pytest.mark.parametrize(
    ("missing", "left", "note"),
    [
        (
            "/dev/nvidia0",
            {"all", *MIGS},
            f"Device 0 ({WHOLE}) has no CDI device: the device node /dev/nvidia0 does not exist",
        ),
        (
            "/dev/nvidia1",
            {"all", WHOLE},
            f"Device 1:0 ({MIGS[0]}) has no CDI device: the device node /dev/nvidia1 does not exist",
        ),
        ("/dev/nvidia-caps/nvidia-cap166", {"all", WHOLE, MIGS[0]}, f"Device 1:1 ({MIGS[1]}) has no CDI device"),
    ],
)
def test_only_the_device_with_a_missing_node_is_skipped(
    missing: str, left: set[str], note: str, load_node: LoadNode
) -> None:
    plan = without(load_node("k3s"), missing).plan()
    assert devices_of(plan).keys() == left
    assert plan.names["gpu"].keys() == left
    assert any(each.startswith(note) for each in plan.notes)


def test_a_missing_capability_is_reported(load_node: LoadNode) -> None:
    node = load_node("k3s")
    plan = replace(node, nodes=replace(node.nodes, caps=MigCaps())).plan()
    assert devices_of(plan).keys() == {"all", WHOLE}
    assert (
        f"Device 1:0 ({MIGS[0]}) has no CDI device: /proc/driver/nvidia-caps/mig-minors does not list gpu1/gi2/access."
        in plan.notes
    )


def test_a_gpu_in_mig_mode_has_a_device_with_the_monitor_capability_on_request(load_node: LoadNode) -> None:
    node = load_node("k3s")
    nodes = {**node.nodes.nodes, "/dev/nvidia-caps/nvidia-cap2": HostNode(major=237, minor=2, mode=0o666)}
    caps = MigCaps(minors={**node.nodes.caps.minors, "monitor": 2})
    node = replace(node, nodes=replace(node.nodes, nodes=nodes, caps=caps))
    assert CUT not in devices_of(node.plan())
    found = devices_of(node.with_options(has_mig_parents=True).plan())
    paths = {each.path for each in found[CUT].device_nodes}
    assert {"/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap2"} <= paths
    assert all(
        "/dev/nvidia-caps/nvidia-cap2" not in {each.path for each in found[name].device_nodes}
        for name in (WHOLE, *MIGS)
    )


def test_a_gpu_without_a_minor_number_is_skipped(load_node: LoadNode) -> None:
    node = load_node("k3s")
    gpus = (replace(make_gpu(0, WHOLE), minor=None), make_gpu(1, CUT))
    plan = replace(node, inventory=replace(node.inventory, gpus=gpus)).plan()
    assert devices_of(plan).keys() == {"all", CUT}
    assert any("NVML does not report the minor number" in note for note in plan.notes)


@pytest.mark.parametrize("profile", ["1g.10gb", "1g.24gb+gfx"])
def test_only_mig_devices_with_graphics_have_drm_nodes(profile: str, load_node: LoadNode) -> None:
    node = load_node("k3s")
    gpus = (make_gpu(1, CUT, (make_mig(0, MIGS[0], 2, profile),)),)
    edits = devices_of(replace(node, inventory=replace(node.inventory, gpus=gpus)).plan())[MIGS[0]]
    has_drm = any(each.path.startswith("/dev/dri/") for each in edits.device_nodes)
    assert has_drm == ("gfx" in profile)


def test_without_hooks_by_path_names_of_drm_nodes_are_device_nodes(load_node: LoadNode) -> None:
    edits = devices_of(load_node("k3s").plan())[WHOLE]
    places = {node.path: node.host_path for node in edits.device_nodes}
    assert places["/dev/dri/by-path/pci-0000:17:00.0-card"] == "/dev/dri/card1"
    assert places["/dev/dri/by-path/pci-0000:17:00.0-render"] == "/dev/dri/renderD128"


def test_groups_of_restricted_device_nodes_are_added(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert devices_of(node.plan())[WHOLE].additional_gids == (44, 105)
    assert devices_of(node.with_options(feature_flags={NO_GIDS}).plan())[WHOLE].additional_gids == ()


def test_groups_of_unrestricted_device_nodes_are_not_added(load_node: LoadNode) -> None:
    node = load_node("k3s")
    nodes = {**node.nodes.nodes, "/dev/nvidia0": HostNode(major=195, minor=0, mode=0o666, gid=7)}
    plan = replace(node, nodes=replace(node.nodes, nodes=nodes)).plan()
    assert devices_of(plan)[WHOLE].additional_gids == (44, 105)


def test_device_nodes_have_host_paths_below_the_dev_root(load_node: LoadNode) -> None:
    node = load_node("driver-container").with_options(
        roots=Roots(driver="/run/nvidia/driver", dev="/run/nvidia/driver")
    )
    spec = gpu_spec(node.plan())
    assert {each.path: each.host_path for each in spec.edits.device_nodes}["/dev/nvidiactl"] == (
        "/run/nvidia/driver/dev/nvidiactl"
    )
