"""CDI specifications that follow the node, and the responses that use them."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device_plugin.allocate.strategies import build_strategies
from device_plugin.cdi_sync import CdiSpecSync, HostContext
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.response_options import NodeSoftware, plan_response_options, select_device_lists
from gpu_core.cdi.hook_program import LDCACHE, LINKS, PROFILE
from gpu_core.cdi.write import SpecWriter
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.resources import GPU
from gpu_core.settings.nvidia_settings import CdiSettings, ResponseSettings
from node_core.host.root import HostRoot
from node_core.values import replace
from tests.gpu_core.cdi.conftest import MIGS, WHOLE, make_inventory
from tests.roots.drivers.layout import lay_out, lay_out_tree, read_composed_node

GPU_SPEC = "k8s.device-plugin.nvidia.com-gpu.json"
NEW = NodeSoftware(kubelet="v1.36.3", runtime="containerd://2.1.9")
OLD = NodeSoftware(kubelet="v1.36.3", runtime="containerd://1.7.27")
WHOLE_GPU = Device(id=DeviceId(WHOLE), uuid=WHOLE, index="0", gpu=WHOLE, paths=("/dev/nvidia0",))


class Node:
    """A fake driver below `driver`, with device nodes and an inventory. Specifications are written to `cdi`."""

    def __init__(self, tmp_path: Path, name: str = "debian") -> None:
        self.driver = lay_out_tree(name, tmp_path / "driver")
        lay_out_tree("devices", self.driver)
        self.cdi = tmp_path / "cdi"
        self.inventory = make_inventory("550.54.15")
        self.settings = ResponseSettings(driver_root="/run/nvidia/driver", driver_root_mount=self.driver)
        self.sync = CdiSpecSync(HostRoot(self.driver), SpecWriter(self.cdi), read=read_composed_node)

    def sync_specs(
        self, settings: ResponseSettings | None = None, inventory: Inventory | None = None, runtime: str = NEW.runtime
    ) -> HostContext:
        return self.sync.sync(inventory or self.inventory, settings or self.settings, runtime)

    @property
    def spec(self) -> dict[str, Any]:
        return dict(json.loads((self.cdi / GPU_SPEC).read_text()))

    @property
    def devices(self) -> list[str]:
        return [device["name"] for device in self.spec["devices"]]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_every_gpu_and_mig_device_can_be_requested_by_its_cdi_name(node: Node) -> None:
    found = node.sync_specs()
    assert found.no_specs_reason is None
    assert node.devices == [WHOLE, *MIGS, "all"]
    assert found.cdi_names["gpu"][WHOLE] == WHOLE
    assert found.dev_root == "/run/nvidia/driver"
    assert "/dev/nvidiactl" in found.control_nodes


def test_auto_selects_cdi_if_the_node_supports_it_else_the_environment(node: Node) -> None:
    found = node.sync_specs()
    lists, choice = select_device_lists(node.settings, NEW, found)
    assert lists == ("cdi-cri",)
    assert choice is not None
    assert "inject CDI devices" in choice.why
    response_options = plan_response_options(GPU, ResourceOffer(devices=(WHOLE_GPU,)), node.settings, lists, found)
    (strategy,) = build_strategies(response_options, lambda: "token")
    assert strategy([WHOLE_GPU]).cdi_devices == (f"k8s.device-plugin.nvidia.com/gpu={WHOLE}",)
    assert select_device_lists(node.settings, OLD, found)[0] == ("envvar",)
    assert select_device_lists(node.settings, NodeSoftware(), found)[0] == ("envvar",)


def test_without_a_driver_auto_selects_the_environment_with_a_reason(node: Node, tmp_path: Path) -> None:
    found = node.sync_specs(replace(node.settings, driver_root_mount=tmp_path / "nothing"))
    lists, choice = select_device_lists(node.settings, NEW, found)
    assert lists == ("envvar",)
    assert choice is not None
    assert str(tmp_path / "nothing") in choice.why
    assert not (node.cdi / GPU_SPEC).exists()


def test_specifications_follow_the_node_and_are_removed_if_not_needed(node: Node) -> None:
    node.sync_specs()
    before = (node.cdi / GPU_SPEC).stat()
    node.sync_specs()
    after = (node.cdi / GPU_SPEC).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), "nothing changed"
    node.sync_specs(inventory=replace(node.inventory, gpus=node.inventory.gpus[:1]))
    assert node.devices == [WHOLE, "all"]
    (node.cdi / "vendor.json").write_text("{}")
    found = node.sync_specs(replace(node.settings, device_lists=("envvar",)))
    assert [path.name for path in node.cdi.iterdir() if not path.name.startswith(".")] == ["vendor.json"]
    assert found.no_specs_reason == "the device list strategies do not use CDI specifications"


def test_an_unwritable_folder_is_reported_and_no_cdi_name_is_used(node: Node) -> None:
    node.cdi.write_text("in the way")
    found = node.sync_specs()
    assert any(str(node.cdi) in problem for problem in found.problems)
    assert select_device_lists(node.settings, NEW, found)[0] == ("envvar",)
    assert found.cdi_names == {}


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """No specification can be written, because another process has the lock of the folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_gpus_stay_available_while_a_changed_file_with_all_devices_cannot_be_restored(node: Node) -> None:
    before, file = node.sync_specs(), node.cdi / GPU_SPEC
    original = file.read_text()
    changed = json.dumps(json.loads(original), indent=1)
    file.write_text(changed)
    with unwritable(node.cdi):
        found = node.sync_specs()
    assert any(str(node.cdi) in problem for problem in found.problems)
    assert found.no_specs_reason is None
    assert found.cdi_names["gpu"] == before.cdi_names["gpu"]
    assert select_device_lists(node.settings, NEW, found)[0] == ("cdi-cri",)
    assert file.read_text() == changed
    assert node.sync_specs().problems == ()
    assert file.read_text() == original


def test_a_file_that_cannot_be_written_and_lacks_a_device_provides_none(node: Node) -> None:
    node.sync_specs(inventory=replace(node.inventory, gpus=node.inventory.gpus[:1]))
    with unwritable(node.cdi):
        found = node.sync_specs()
    assert "gpu" not in found.cdi_names
    assert found.no_specs_reason == found.problems[0]


def test_a_missing_configured_imex_channel_is_reported(node: Node) -> None:
    found = node.sync_specs(replace(node.settings, imex_channels=(0,)))
    present = os.path.exists(node.driver / "dev/nvidia-caps-imex-channels/channel0")  # noqa: PTH110
    assert (found.imex_channels == (0,)) == present
    (node.driver / "dev/nvidia-caps-imex-channels/channel0").unlink(missing_ok=True)
    found = node.sync_specs(replace(node.settings, imex_channels=(0,)))
    assert found.imex_channels == ()
    assert any("IMEX channel 0 is configured" in sentence for sentence in found.imex_problems)
    assert found.problems == (), "a missing channel is not a problem of the specifications"


def test_mps_programs_are_read_from_the_driver_root(node: Node) -> None:
    found = node.sync_specs()
    assert found.programs.paths["nvidia-smi"] == node.driver / "usr/bin/nvidia-smi"
    assert found.programs.libraries is not None
    assert str(node.driver) in found.programs.libraries


def test_the_version_of_specifications_follows_the_container_runtime(node: Node) -> None:
    node.sync_specs(runtime="containerd://2.0.0")
    assert node.spec["cdiVersion"] == "0.7.0"
    assert not [note for note in node.sync_specs().notes if "groups" in note]
    found = node.sync_specs(runtime="cri-o://1.29.1")
    assert node.spec["cdiVersion"] == "0.5.0"
    assert any("cri-o://1.29.1: reading CDI 0.7.0 requires 1.30" in note for note in found.notes)
    node.sync_specs(runtime="")
    assert node.spec["cdiVersion"] == "0.5.0"


def test_specifications_use_only_hooks_of_the_program_on_the_host(node: Node) -> None:
    settings = replace(node.settings, cdi=CdiSettings(hook_path="/run/nvidia/driver/usr/bin/nvidia-cdi-hook"))
    program = lay_out(node.driver, "/usr/bin/nvidia-cdi-hook toolkit 1.17.4")
    found = node.sync_specs(settings)
    assert {hook["args"][1] for hook in node.spec["containerEdits"]["hooks"]} == {LINKS, LDCACHE}
    assert any("nvidia-cdi-hook does not have them" in note for note in found.notes)
    program.unlink()
    lay_out(node.driver, "/usr/bin/nvidia-cdi-hook toolkit 1.20.2")
    found = node.sync_specs(settings)
    assert PROFILE in [hook["args"][1] for hook in node.spec["containerEdits"]["hooks"]]
    assert not [note for note in found.notes if "hooks" in note]
    program.unlink()
    lay_out(node.driver, "/usr/bin/nvidia-cdi-hook program")
    found = node.sync_specs(settings)
    assert "hooks" not in node.spec["containerEdits"]
    assert any("so that its hooks are unknown" in note for note in found.notes)


def test_of_two_drivers_on_the_disk_containers_get_the_loaded_one(node: Node) -> None:
    for name in ("libcuda", "libnvidia-ml"):
        lay_out(node.driver, f"/usr/lib64/{name}.so.535.183.01 library x86_64")
        lay_out(node.driver, f"/usr/lib64/{name}.so.1 -> {name}.so.535.183.01")
    found = node.sync_specs()
    mounts = [mount["hostPath"] for mount in node.spec["containerEdits"]["mounts"]]
    assert any(path.endswith("/libcuda.so.550.54.15") for path in mounts)
    assert not [path for path in mounts if "535.183.01" in path]
    assert not [note for note in found.notes if "load the installed" in note]


def test_additional_folders_of_libraries_come_from_the_settings(node: Node, tmp_path: Path) -> None:
    driver = tmp_path / "other"
    lay_out_tree("devices", driver)
    lay_out(driver, "/srv/gpu/libcuda.so.550.54.15 library x86_64")
    lay_out(driver, "/srv/gpu/libcuda.so.1 -> libcuda.so.550.54.15")
    settings = replace(node.settings, driver_root_mount=driver, library_dirs=("/srv/gpu",))
    node.sync_specs(settings)
    assert "/run/nvidia/driver/srv/gpu/libcuda.so.550.54.15" in [
        mount["hostPath"] for mount in node.spec["containerEdits"]["mounts"]
    ]
    assert node.sync_specs(replace(settings, library_dirs=())).no_specs_reason is not None


def test_the_specifications_follow_a_driver_that_moves_between_the_host_and_a_driver_container(tmp_path: Path) -> None:
    node = Node(tmp_path)
    settings = ResponseSettings(driver_root="/", driver_root_mount=node.driver)

    def folders() -> tuple[set[bool], str]:
        found = node.sync_specs(settings)
        edits = [node.spec["containerEdits"], *(each["containerEdits"] for each in node.spec["devices"])]
        paths = [each["hostPath"] for edit in edits for each in edit.get("mounts", ())]
        paths += [each.get("hostPath", each["path"]) for edit in edits for each in edit.get("deviceNodes", ())]
        return {path.startswith("/run/nvidia/driver/") for path in paths}, found.dev_root

    assert folders() == ({False}, "/")
    container = lay_out_tree("debian", node.driver / "run/nvidia/driver")
    lay_out_tree("devices", container)
    assert folders() == ({True}, "/run/nvidia/driver")
    shutil.rmtree(container)
    assert folders() == ({False}, "/")


@pytest.mark.parametrize("lists", [("envvar",), ("auto",)], ids=["without specifications", "with specifications"])
def test_names_without_an_effect_are_reported(lists: tuple[Any, ...], node: Node) -> None:
    cdi = CdiSettings(
        feature_flags=frozenset({"foo-bar", "disable-ipc-discoverer", "enable-coherent-annotations"}),
        disabled_hooks=frozenset({"chmod", "update-ldcash"}),
    )
    settings = replace(node.settings, device_lists=lists, cdi=cdi)
    for notes in (node.sync_specs(settings).notes, node.sync.plan(node.inventory, settings).notes):
        assert notes[0].startswith(
            "--cdi-feature-flags: foo-bar is not known and has no effect. Known names: disable-ipc"
        )
        assert notes[1].startswith(
            "--cdi-disable-hooks: update-ldcash is not known and has no effect. Known names: all, chmod"
        )
        assert notes[2].startswith("--cdi-feature-flags: enable-coherent-annotations has no effect")
        assert not [note for note in notes[3:] if note.startswith("--cdi")]
    known = CdiSettings(feature_flags=frozenset({"disable-nvsandboxutils"}), disabled_hooks=frozenset({"all"}))
    assert not [note for note in node.sync_specs(replace(settings, cdi=known)).notes if note.startswith("--cdi")]
