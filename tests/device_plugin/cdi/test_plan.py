"""What is in specs, what is left out and what is said of it."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from device_plugin.cdi.hooks import COMPAT, LDCACHE, LINKS, NO_NODES, PROFILE
from device_plugin.cdi.kinds import FILE_NAMES, qualified_name
from device_plugin.cdi.options import EXPLICIT_LIBRARIES, NO_GIDS, NO_IPC
from device_plugin.cdi.plan import CdiPlan
from device_plugin.cdi.roots import Roots
from node_core.domain.cdi import Edits, Spec
from node_core.domain.inventory import Inventory, MigUuid
from node_core.host.device_nodes import DeviceNodes, HostNode
from node_core.host.driver_files import DriverFiles
from node_core.host.mig_caps import MigCaps
from tests.device_plugin.cdi.conftest import CTK, CUT, MIGS, WHOLE, LoadNode, Node, make_gpu, make_mig

GPU_FILE = "k8s.device-plugin.nvidia.com-gpu.json"
LINUX = ["debian", "rhel", "gke-cos", "talos", "k3s", "opt", "nixos", "debian-12", "ubuntu-24.04", "driver-container"]
DEFAULT_FOLDERS = {
    "Debian": ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib", "/lib"),
    "RHEL": ("/usr/lib64", "/lib64"),
}
"""Where the loaders of these look without a cache: `ld.so --help`, system search path."""


def gpu_spec(plan: CdiPlan) -> Spec:
    return plan.specs[GPU_FILE]


def devices_of(plan: CdiPlan) -> dict[str, Edits]:
    return {device.name: device.edits for device in gpu_spec(plan).devices}


def without(node: Node, *paths: str) -> Node:
    left = {path: each for path, each in node.nodes.nodes.items() if path not in paths}
    return replace(node, nodes=replace(node.nodes, nodes=left))


def hooks_of(spec: Spec) -> list[str]:
    return [hook.args[2] for hook in spec.edits.hooks]


def test_names_are_qualified_by_vendor_and_class() -> None:
    assert qualified_name("gpu", "GPU-5a") == "k8s.device-plugin.nvidia.com/gpu=GPU-5a"
    assert qualified_name("imex-channel", "0") == "k8s.device-plugin.nvidia.com/imex-channel=0"
    assert GPU_FILE in FILE_NAMES
    assert len(FILE_NAMES) == 5


@pytest.mark.parametrize("image", DEFAULT_FOLDERS)
@pytest.mark.parametrize("name", LINUX)
def test_without_hooks_the_loaders_of_images_find_the_driver_by_themselves(
    name: str, image: str, load_node: LoadNode
) -> None:
    places = {mount.container_path for mount in gpu_spec(load_node(name).plan()).edits.mounts}
    for wanted in ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4"):
        assert {f"{folder}/{wanted}" for folder in DEFAULT_FOLDERS[image]} & places, wanted
    assert {"/usr/bin/nvidia-smi", "/usr/local/bin/nvidia-smi"} & places


@pytest.mark.parametrize("name", LINUX)
def test_with_hooks_each_mounted_library_is_in_the_loaders_cache(name: str, load_node: LoadNode) -> None:
    spec = gpu_spec(load_node(name).with_options(hook_path=CTK).plan())
    (hook,) = (hook for hook in spec.edits.hooks if LDCACHE in hook.args)
    libraries = [
        PurePosixPath(mount.container_path) for mount in spec.edits.mounts if "/xorg/" not in mount.container_path
    ]
    assert {str(path.parent) for path in libraries if path.name.startswith("lib")} <= set(hook.args)


@pytest.mark.parametrize("hooks", [True, False], ids=["hooks", "no-hooks"])
def test_a_driver_root_of_its_own_gives_the_same_containers_as_the_hosts_root(
    hooks: bool, load_node: LoadNode, tmp_path: Path
) -> None:
    cos = "/home/kubernetes/bin/nvidia"
    hook = {"hook_path": CTK if hooks else None}
    (tmp_path / "driver-root").mkdir()
    host = gpu_spec(load_node("gke-cos").with_options(**hook).plan())
    for tree in ("driver-root", "host"):
        (tmp_path / tree).rename(tmp_path / f"{tree}-before")
    own = gpu_spec(load_node("gke-cos", driver=cos, nested=cos.strip("/")).with_options(**hook).plan())
    assert own == host


def test_every_mount_is_of_a_file_that_is_there_and_no_link(load_node: LoadNode) -> None:
    node = load_node("debian-12")
    for mount in gpu_spec(node.plan()).edits.mounts:
        path = node.root / mount.host_path.lstrip("/")
        assert path.exists()
        assert path.resolve() == node.root.resolve() / mount.host_path.lstrip("/")


def test_devices_are_called_by_uuid_or_by_index(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert devices_of(node.plan()).keys() == {"all", WHOLE, *MIGS}
    by_index = node.with_options(id_strategy="index").plan()
    assert devices_of(by_index).keys() == {"all", "0", "1:0", "1:1"}
    assert by_index.names["gpu"] == {"all": "all", WHOLE: "0", MIGS[0]: "1:0", MIGS[1]: "1:1"}


def test_an_id_that_is_no_name_is_called_by_index_and_said(load_node: LoadNode) -> None:
    node = load_node("k3s")
    legacy = MigUuid(f"MIG-{CUT}/2/0")
    gpus = (make_gpu(0, WHOLE), make_gpu(1, CUT, (make_mig(0, legacy, 2),)))
    plan = replace(node, inventory=replace(node.inventory, gpus=gpus)).plan()
    assert plan.names["gpu"][legacy] == "1:0"
    assert "1:0" in devices_of(plan)
    assert [note for note in plan.notes if "called so" in note] == [
        f"Device 1:0 is called so in CDI specs: {legacy!r} is no name there."
    ]


def test_the_device_all_has_the_nodes_of_every_device(load_node: LoadNode) -> None:
    devices = devices_of(load_node("k3s").plan())
    union = {node.path for name, edits in devices.items() if name != "all" for node in edits.device_nodes}
    assert {node.path for node in devices["all"].device_nodes} == union


@pytest.mark.parametrize(
    ("missing", "left", "note"),
    [
        ("/dev/nvidia0", {"all", *MIGS}, f"Device 0 ({WHOLE}) is in no CDI spec: there is no device node /dev/nvidia0"),
        (
            "/dev/nvidia1",
            {"all", WHOLE},
            f"Device 1:0 ({MIGS[0]}) is in no CDI spec: there is no device node /dev/nvidia1",
        ),
        ("/dev/nvidia-caps/nvidia-cap166", {"all", WHOLE, MIGS[0]}, f"Device 1:1 ({MIGS[1]}) is in no CDI spec"),
    ],
)
def test_a_device_that_lacks_a_node_is_left_out_alone(
    missing: str, left: set[str], note: str, load_node: LoadNode
) -> None:
    plan = without(load_node("k3s"), missing).plan()
    assert devices_of(plan).keys() == left
    assert plan.names["gpu"].keys() == left
    assert any(each.startswith(note) for each in plan.notes)


def test_a_capability_that_the_driver_does_not_list_is_named(load_node: LoadNode) -> None:
    node = load_node("k3s")
    plan = replace(node, nodes=replace(node.nodes, caps=MigCaps())).plan()
    assert devices_of(plan).keys() == {"all", WHOLE}
    assert (
        f"Device 1:0 ({MIGS[0]}) is in no CDI spec: /proc/driver/nvidia-caps/mig-minors has no gpu1/gi2/access."
        in plan.notes
    )


def test_a_gpu_without_a_minor_number_is_left_out(load_node: LoadNode) -> None:
    node = load_node("k3s")
    gpus = (replace(make_gpu(0, WHOLE), minor=None), make_gpu(1, CUT))
    plan = replace(node, inventory=replace(node.inventory, gpus=gpus)).plan()
    assert devices_of(plan).keys() == {"all", CUT}
    assert any("NVML does not say which device node" in note for note in plan.notes)


def test_without_any_device_there_is_no_spec_and_no_name(load_node: LoadNode) -> None:
    plan = without(load_node("k3s"), "/dev/nvidia0", "/dev/nvidia1").plan()
    assert (plan.specs, plan.names) == ({}, {})
    assert len(plan.notes) == 3


@pytest.mark.parametrize("profile", ["1g.10gb", "1g.24gb+gfx"])
def test_only_a_mig_device_for_graphics_has_drm_nodes(profile: str, load_node: LoadNode) -> None:
    node = load_node("k3s")
    gpus = (make_gpu(1, CUT, (make_mig(0, MIGS[0], 2, profile),)),)
    edits = devices_of(replace(node, inventory=replace(node.inventory, gpus=gpus)).plan())[MIGS[0]]
    has_drm = any(each.path.startswith("/dev/dri/") for each in edits.device_nodes)
    assert has_drm == ("gfx" in profile)


def test_without_hooks_names_of_drm_nodes_are_more_nodes(load_node: LoadNode) -> None:
    edits = devices_of(load_node("k3s").plan())[WHOLE]
    places = {node.path: node.host_path for node in edits.device_nodes}
    assert places["/dev/dri/by-path/pci-0000:17:00.0-card"] == "/dev/dri/card1"
    assert places["/dev/dri/by-path/pci-0000:17:00.0-render"] == "/dev/dri/renderD128"


def test_groups_of_nodes_that_not_everybody_may_open_are_joined(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert devices_of(node.plan())[WHOLE].additional_gids == (44, 105)
    assert devices_of(node.with_options(feature_flags={NO_GIDS}).plan())[WHOLE].additional_gids == ()


def test_a_group_whose_node_everybody_may_open_is_not_joined(load_node: LoadNode) -> None:
    node = load_node("k3s")
    nodes = {**node.nodes.nodes, "/dev/nvidia0": HostNode(major=195, minor=0, mode=0o666, gid=7)}
    plan = replace(node, nodes=replace(node.nodes, nodes=nodes)).plan()
    assert devices_of(plan)[WHOLE].additional_gids == (44, 105)


def test_nodes_are_the_dev_roots_on_the_host(load_node: LoadNode) -> None:
    node = load_node("driver-container").with_options(
        roots=Roots(driver="/run/nvidia/driver", dev="/run/nvidia/driver")
    )
    spec = gpu_spec(node.plan())
    assert {each.path: each.host_path for each in spec.edits.device_nodes}["/dev/nvidiactl"] == (
        "/run/nvidia/driver/dev/nvidiactl"
    )


def test_hooks_are_in_the_order_of_nvidias_specs(load_node: LoadNode) -> None:
    node = load_node("k3s")
    assert hooks_of(gpu_spec(node.with_options(hook_path=CTK).plan())) == [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE]
    standalone = gpu_spec(node.with_options(hook_path="/opt/nvidia-cdi-hook").plan()).edits.hooks
    assert [hook.args[:2] for hook in standalone][1:2] == [("nvidia-cdi-hook", COMPAT)]
    assert gpu_spec(node.plan()).edits.hooks == ()


@pytest.mark.parametrize("disabled", [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE, "all"])
def test_a_hook_can_be_disabled(disabled: str, load_node: LoadNode) -> None:
    plan = load_node("k3s").with_options(hook_path=CTK, disabled_hooks={disabled}).plan()
    everything = [LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE]
    assert hooks_of(gpu_spec(plan)) == [name for name in everything if disabled not in (name, "all")]
    said = [note for note in plan.notes if "because they are disabled" in note]
    assert len(said) == (0 if disabled == LINKS else 1)


def test_without_links_by_hook_names_are_mounted_and_the_cache_is_still_updated(load_node: LoadNode) -> None:
    spec = gpu_spec(load_node("debian").with_options(hook_path=CTK, disabled_hooks={LINKS}).plan())
    places = {mount.container_path for mount in spec.edits.mounts}
    assert "/usr/lib/x86_64-linux-gnu/libcuda.so.1" in places
    assert not any(place.startswith("/usr/lib64/") for place in places)


def test_libraries_that_images_bring_are_mounted_when_asked_for(load_node: LoadNode) -> None:
    def libraries(node: Node) -> set[str]:
        return {PurePosixPath(mount.host_path).name for mount in gpu_spec(node.plan()).edits.mounts}

    node = load_node("debian")
    more = libraries(node.with_options(feature_flags={EXPLICIT_LIBRARIES})) - libraries(node)
    assert {"libEGL.so.1.1.0", "libGLX.so.0.0.0", "libOpenCL.so.1.0.0", "libnvidia-api.so.1"} <= more


def test_sockets_can_be_left_out(load_node: LoadNode) -> None:
    node = load_node("debian")
    sockets = {mount.container_path for mount in gpu_spec(node.plan()).edits.mounts if "ro" not in mount.options}
    assert sockets == {"/run/nvidia-persistenced/socket", "/tmp/nvidia-mps"}
    plan = node.with_options(feature_flags={NO_IPC}).plan()
    assert all("ro" in mount.options for mount in gpu_spec(plan).edits.mounts)


def test_no_driver_is_said_with_where_it_was_looked_for(load_node: LoadNode) -> None:
    plan = replace(load_node("k3s", driver="/run/nvidia/driver"), driver=DriverFiles()).plan()
    (note,) = plan.notes
    assert plan.specs == {}
    assert (
        "no libraries like libcuda.so.<version> below /driver-root, which should be /run/nvidia/driver of the host"
        in note
    )


def test_a_node_without_gpus_has_nothing_to_say(load_node: LoadNode) -> None:
    node = replace(load_node("k3s"), inventory=Inventory(driver=None, why_empty="there is no NVIDIA driver"))
    assert node.plan() == CdiPlan()
    assert replace(node, driver=DriverFiles(), nodes=DeviceNodes()).plan() == CdiPlan()


def test_an_updated_driver_whose_module_is_still_the_old_one_is_said(load_node: LoadNode) -> None:
    node = load_node("k3s")
    inventory = replace(node.inventory, driver=replace(node.inventory.driver, version="535.1.1"))  # type: ignore[type-var]
    notes = replace(node, inventory=inventory).plan().notes
    assert (
        "The loaded driver is 535.1.1, the libraries below / are of 580.178.04: load the module that is installed."
        in notes
    )


def test_control_nodes_that_cuda_needs_are_missed(load_node: LoadNode) -> None:
    plan = without(load_node("k3s"), "/dev/nvidia-uvm", "/dev/nvidia-modeset").plan()
    assert [note for note in plan.notes if "CUDA does not work" in note] == [
        "There is no device node /dev/nvidia-uvm: CUDA does not work in containers without it."
    ]


def test_what_could_not_be_read_is_said(load_node: LoadNode) -> None:
    node = load_node("k3s")
    files, nodes = replace(node.driver, problems=("A.",)), replace(node.nodes, problems=("B.",))
    assert {"A.", "B."} < set(replace(node, driver=files, nodes=nodes).plan().notes)


@pytest.mark.parametrize(
    ("option", "cls", "paths"),
    [
        ("gdrcopy", "gdrcopy", ["/dev/gdrdrv"]),
        ("gds", "gds", ["/dev/nvidia-fs0", "/dev/nvidia-fs1"]),
        ("mofed", "mofed", ["/dev/infiniband/rdma_cm", "/dev/infiniband/uverbs0"]),
    ],
)
def test_a_class_beside_gpus_has_a_spec_where_it_has_nodes(
    option: str, cls: str, paths: list[str], load_node: LoadNode
) -> None:
    node = load_node("rhel").with_options(**{option: True})
    plan = node.plan()
    (device,) = plan.specs[f"k8s.device-plugin.nvidia.com-{cls}.json"].devices
    assert sorted(each.path for each in device.edits.device_nodes) == paths
    assert plan.names[cls] == {"all": "all"}
    bare = without(node, *paths).plan()
    assert cls not in bare.names
    assert any(note.startswith(f"There is no CDI spec for {cls}: ") for note in bare.notes)


def test_an_imex_channel_without_a_node_is_left_out(load_node: LoadNode) -> None:
    plan = load_node("k3s").with_options(imex_channels=(0, 7)).plan()
    assert plan.names["imex-channel"] == {"0": "0"}
    assert (
        "IMEX channel 7 is in no CDI spec: there is no device node /dev/nvidia-caps-imex-channels/channel7."
        in plan.notes
    )


@pytest.mark.parametrize(("strategy", "name"), [("uuid", "tegra"), ("index", "0")])
def test_a_jetsons_gpu_has_a_name_though_it_has_no_uuid(strategy: str, name: str, load_node: LoadNode) -> None:
    node = load_node("tegra-l4t").with_options(id_strategy=strategy, hook_path=CTK)
    plan = node.plan()
    assert devices_of(plan).keys() == {"all", name}
    assert plan.names["gpu"] == {"all": "all", "tegra": name, "tegra-0": name}
    assert hooks_of(gpu_spec(plan)) == [LINKS, COMPAT, LDCACHE]


def test_a_jetson_without_device_nodes_or_without_lists_has_no_spec(load_node: LoadNode) -> None:
    node = load_node("tegra-l4t")
    bare = replace(node, nodes=DeviceNodes()).plan()
    assert bare.specs == {}
    assert bare.notes[0].startswith(
        "There is no CDI spec for gpu: none of the device nodes that the Jetson's lists name"
    )
    (note,) = replace(node, driver=DriverFiles()).plan().notes
    assert "no lists of files in /etc/nvidia-container-runtime/host-files-for-container.d below /driver-root" in note


def test_under_wsl_every_gpu_is_all_of_them(load_node: LoadNode) -> None:
    node = load_node("wsl")
    plan = node.plan()
    assert devices_of(plan).keys() == {"all"}
    assert plan.names["gpu"] == {"all": "all", WHOLE: "all", CUT: "all"}
    assert replace(node, nodes=DeviceNodes()).plan().notes == (
        "There is no CDI spec for gpu: there is no device node /dev/dxg.",
    )


def test_each_device_of_each_spec_can_be_asked_for_and_nothing_else(load_node: LoadNode) -> None:
    plan = load_node("rhel").with_options(imex_channels=(0, 7), gdrcopy=True, id_strategy="index").plan()
    devices = [f"{spec.kind}={device.name}" for spec in plan.specs.values() for device in spec.devices]
    assert plan.qualified_names == set(devices)
    assert "k8s.device-plugin.nvidia.com/gpu=1:0" in plan.qualified_names
