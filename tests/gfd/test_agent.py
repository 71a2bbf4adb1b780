"""What gfd makes of a look that failed in part."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gfd.__main__ import command
from gfd.agent import GfdSettings, build_agent, collect_labels, collector, read_classes, report_numa
from gfd.labelers import LabelOptions
from gfd.options import gfd_settings
from gfd.premium import PremiumKeeper
from node_core.assembly import Edges
from node_core.domain.inventory import Fault, Inventory, Platform
from node_core.domain.labels import Collected, merge_collected
from node_core.domain.resources import NamePattern, ResourceNames, resource_name
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.errors import HostReadError
from node_core.host.discovery.strategy import Strategy
from node_core.host.nvml.inventory import read_inventory
from node_core.host.root import HostRoot
from node_core.runtime.command import parse_command
from node_core.runtime.messages import Pass
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario
from tests.conftest import Golden

OPTIONS = LabelOptions(mig_strategy="none", machine="m", timestamp=None)


def look() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


def lose_one(inventory: Inventory) -> Inventory:
    return replace(inventory, gpus=inventory.gpus[:-1], faults=(Fault(index=7, uuid=None, reason="GPU_IS_LOST"),))


def test_a_lost_gpu_changes_no_label_of_the_gpus_but_the_driver_is_still_followed() -> None:
    sound = look()
    published = merge_collected(collect_labels(sound, OPTIONS), {})
    assert sound.driver is not None
    upgraded = replace(lose_one(sound), driver=replace(sound.driver, version="570.1.2"))
    after = merge_collected(collect_labels(upgraded, OPTIONS), published)
    assert after["nvidia.com/gpu.count"] == "8"
    assert after["nvidia.com/cuda.driver-version.full"] == "570.1.2"
    assert after.keys() == published.keys()


def test_a_node_that_loses_all_its_gpus_keeps_every_label() -> None:
    sound = look()
    published = merge_collected(collect_labels(sound, OPTIONS), {})
    lost = tuple(Fault(index=gpu.index, uuid=gpu.uuid, reason="GPU_IS_LOST") for gpu in sound.gpus)
    assert merge_collected(collect_labels(replace(sound, gpus=(), faults=lost), OPTIONS), published) == published


def test_a_node_that_starts_with_a_lost_gpu_is_labelled_with_those_that_answer() -> None:
    assert merge_collected(collect_labels(lose_one(look()), OPTIONS), {})["nvidia.com/gpu.count"] == "7"


def test_a_gpu_that_is_gone_for_good_is_no_longer_counted() -> None:
    published = merge_collected(collect_labels(look(), OPTIONS), {})
    fewer = replace(look(), gpus=look().gpus[:-1])
    assert merge_collected(collect_labels(fewer, OPTIONS), published)["nvidia.com/gpu.count"] == "7"


GUEST = bytes((0x09, 0, 27)) + b"VF" + bytes((0, 22)) + b"460.16".ljust(10, b"\0") + b"r460_00".ljust(10, b"\0")
MPS = Sharing(
    strategy=SharingStrategy.MPS,
    resources=(SharedResource(resource=resource_name("gpu"), replicas=4, advertised=resource_name("gpu")),),
    fail_requests_greater_than_one=True,
)


def edges(root: Path, simulate: str | None = None, discovery: Strategy = "auto") -> Edges:
    return Edges(
        CommonSettings(
            node_name="n",
            kubeconfig=None,
            simulate=simulate,
            host_root=root,
            oneshot=True,
            interval=None,
            address="",
            log_format="json",
            log_level="info",
            lock_dir=root,
        ),
        "gfd",
        root,
        discovery,
    )


def looking(settings: GfdSettings, edges: Edges, services: Services) -> Callable[[], tuple[Collected, ...]]:
    return collector(lambda: settings, edges, services, PremiumKeeper())


def board(root: Path, address: str, *, shown: int = 256) -> Path:
    """A vGPU, of whose configuration space only so many bytes are shown."""
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    ids = {"class": "0x030000", "vendor": "0x10de", "device": "0x1eb8", "subsystem_vendor": "0x10de"}
    for name, text in {**ids, "subsystem_device": "0x12a2"}.items():
        (folder / name).write_text(f"{text}\n")
    config = bytearray(256)
    config[0x06], config[0x34] = 0x10, 0xD0
    config[0xD0 : 0xD0 + len(GUEST)] = GUEST
    (folder / "config").write_bytes(bytes(config[:shown]))
    return folder


def passes(*found: tuple[Collected, ...]) -> dict[str, str]:
    """What is published after these passes."""
    known: dict[str, str] = {}
    for parts in found:
        known = merge_collected(parts, known)
    return known


def below(labels: dict[str, str], prefix: str) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(f"nvidia.com/{prefix}")}


def test_a_guest_says_that_its_gpus_are_virtual_while_nvml_fails(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0")
    services = Services()
    collect = looking(GfdSettings(), edges(tmp_path), services)
    found = below(passes(collect()), "vgpu.")
    assert found == {
        "nvidia.com/vgpu.present": "true",
        "nvidia.com/vgpu.host-driver-version": "460.16",
        "nvidia.com/vgpu.host-driver-branch": "r460_00",
    }
    assert services.readiness.problems()["gfd/vgpus"] is None


def test_labels_of_vgpus_stay_while_pci_cannot_be_read_and_go_when_it_says_so(tmp_path: Path) -> None:
    folder = board(tmp_path, "0000:02:00.0")
    services = Services()
    collect = looking(GfdSettings(), edges(tmp_path), services)
    first = collect()
    content = (folder / "config").read_bytes()
    (folder / "config").unlink()
    (folder / "config").mkdir()
    second = collect()
    assert below(passes(first, second), "vgpu.") == below(passes(first), "vgpu.")
    assert "config" in (services.readiness.problems()["gfd/vgpus"] or "")
    (folder / "config").rmdir()
    (folder / "config").write_bytes(bytes(len(content)))
    assert below(passes(first, second, collect()), "vgpu.") == {"nvidia.com/vgpu.present": "false"}


def test_a_hidden_configuration_space_is_said_once_and_makes_no_label(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0", shown=64)
    collect = looking(GfdSettings(), edges(tmp_path), Services())
    with capture_logs() as said:
        assert below(passes(collect(), collect(), collect()), "vgpu.") == {}
    assert [line["event"] for line in said if line["event"] == "vgpus_unknown"] == ["vgpus_unknown"]


def test_mps_on_a_node_with_mig_is_said_once_and_not_offered(tmp_path: Path) -> None:
    collect = looking(GfdSettings(sharing=MPS), edges(tmp_path, "a100x4-mig-single"), Services())
    with capture_logs() as said:
        found = passes(collect(), collect())
    assert [line["event"] for line in said] == ["mps_hindered"]
    assert (found["nvidia.com/mps.capable"], found["nvidia.com/gpu.replicas"]) == ("false", "0")
    offered = passes(looking(GfdSettings(sharing=MPS), edges(tmp_path, "h100x8"), Services())())
    assert (offered["nvidia.com/mps.capable"], offered["nvidia.com/gpu.replicas"]) == ("true", "4")


def test_sharing_counts_for_the_names_that_the_settings_give(tmp_path: Path) -> None:
    names = ResourceNames(gpus=(NamePattern(pattern="*H100*", resource=resource_name("h100")),))
    settings = GfdSettings(sharing=MPS, names=names)
    assert passes(looking(settings, edges(tmp_path, "h100x8"), Services())())["nvidia.com/gpu.replicas"] == "1"


def test_simulated_gpus_have_the_mode_of_their_class_and_are_not_virtual(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0")
    found = passes(looking(GfdSettings(), edges(tmp_path, "h100x8"), Services())())
    assert (found["nvidia.com/gpu.mode"], found["nvidia.com/vgpu.present"]) == ("compute", "false")


@pytest.mark.parametrize("name", ["wsl", "jetson-orin", "h100x8"])
def test_simulated_gpus_are_on_the_platform_of_their_scenario(name: str, tmp_path: Path) -> None:
    platforms = {"wsl": Platform.WSL, "jetson-orin": Platform.TEGRA, "h100x8": Platform.NVML}
    assert edges(tmp_path, name).inventory.look().platform is platforms[name]


def test_the_class_of_a_gpu_that_pci_does_not_know_is_left_out_and_an_unreadable_one_is_a_failure(
    tmp_path: Path,
) -> None:
    inventory = look()
    address = inventory.gpus[0].address
    assert address is not None
    folder = board(tmp_path, address)
    assert read_classes(HostRoot(tmp_path), inventory) == {address: "030000"}
    (folder / "class").unlink()
    (folder / "class").mkdir()
    with pytest.raises(HostReadError):
        read_classes(HostRoot(tmp_path), inventory)
    with pytest.raises(HostReadError, match="/sys is empty"):
        read_classes(HostRoot(tmp_path / "elsewhere"), inventory)


def test_the_mode_stays_while_pci_cannot_be_read() -> None:
    inventory = look()
    classes = {gpu.address: "030200" for gpu in inventory.gpus if gpu.address is not None}
    sound = collect_labels(inventory, replace(OPTIONS, pci_classes=classes))
    broken = collect_labels(inventory, OPTIONS)
    assert passes(sound, broken) == passes(sound)
    assert "nvidia.com/gpu.mode" not in passes(broken)


def test_what_is_said_of_numa_stays_while_one_file_cannot_be_read_and_goes_when_the_kernel_says_none() -> None:
    sound = look()
    published = merge_collected(collect_labels(sound, OPTIONS), {})
    blind = (replace(sound.gpus[0], numa_node=None, numa_fault="cannot read numa_node"), *sound.gpus[1:])
    assert merge_collected(collect_labels(replace(sound, gpus=blind), OPTIONS), published) == published
    assert below(merge_collected(collect_labels(replace(sound, gpus=blind), OPTIONS), {}), "gpu.numa.") == {}
    none = (replace(sound.gpus[0], numa_node=None), *sound.gpus[1:])
    assert below(merge_collected(collect_labels(replace(sound, gpus=none), OPTIONS), published), "gpu.numa.") == {}


def test_the_machine_stays_while_its_file_cannot_be_read_and_is_unknown_when_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "product_name"
    file.write_text("Example Server\n")
    services = Services()
    settings = GfdSettings(machine_type_file="/product_name", timestamp=False)
    collect = looking(settings, edges(tmp_path, "t4x1"), services)
    known = passes(collect())
    assert known["nvidia.com/gpu.machine"] == "Example-Server"
    file.unlink()
    file.mkdir()
    assert passes(collect()) == {key: value for key, value in known.items() if key != "nvidia.com/gpu.machine"}
    assert merge_collected(collect(), known) == known
    assert "/product_name" in (services.readiness.problems()["gfd/machine"] or "")
    file.rmdir()
    assert merge_collected(collect(), known) == {**known, "nvidia.com/gpu.machine": "unknown"}
    assert services.readiness.problems()["gfd/machine"] is None


def test_a_machine_type_file_that_nobody_names_makes_an_unknown_machine(tmp_path: Path) -> None:
    collect = looking(GfdSettings(machine_type_file=""), edges(tmp_path, "t4x1"), Services())
    assert passes(collect())["nvidia.com/gpu.machine"] == "unknown"


def test_a_numa_file_that_cannot_be_read_is_said_until_it_can() -> None:
    services = Services()
    sound = look()
    blind = replace(sound, gpus=(replace(sound.gpus[0], numa_fault="cannot read numa_node"),))
    for inventory, problem in ((sound, None), (blind, "cannot read numa_node"), (sound, None)):
        report_numa(services, inventory)
        assert services.readiness.problems()["gfd/numa"] == problem


def passed_through(root: Path, address: str) -> Path:
    folder = board(root, address)
    (folder / "config").write_bytes(bytes(256))
    (folder / "numa_node").write_text("0\n")
    (folder / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    return folder


@pytest.mark.golden
def test_gpus_of_virtual_machines_are_labelled_by_what_pci_says(tmp_path: Path, golden: Golden) -> None:
    names = tmp_path / "usr/share/misc/pci.ids"
    names.parent.mkdir(parents=True)
    names.write_text("10de  NVIDIA Corporation\n\t1eb8  TU104GL [Tesla T4]\n")
    for address in ("0000:02:00.0", "0000:03:00.0"):
        passed_through(tmp_path, address)
    found = passes(looking(GfdSettings(timestamp=False), edges(tmp_path, discovery="vfio"), Services())())
    golden("gfd/vfio-none.txt", "".join(f"{key}={value}\n" for key, value in found.items()))


def test_labels_of_gpus_of_virtual_machines_stay_while_anything_about_them_cannot_be_read(tmp_path: Path) -> None:
    first, second = (passed_through(tmp_path, address) for address in ("0000:02:00.0", "0000:03:00.0"))
    services = Services()

    def look() -> tuple[Collected, ...]:
        fresh = edges(tmp_path, discovery="vfio")
        return looking(GfdSettings(timestamp=False, machine_type_file=""), fresh, services)()

    known = passes(look())
    assert known["nvidia.com/gpu.count"] == "2"
    (first / "device").unlink()
    assert merge_collected(look(), known) == known
    (first / "device").write_text("0x1eb8\n")
    (tmp_path / "sys").rename(tmp_path / "elsewhere")
    assert below(merge_collected(look(), known), "gpu.") == below(known, "gpu.")
    assert "sysfs" in (services.readiness.problems()["gfd/gpus"] or "")
    (tmp_path / "elsewhere").rename(tmp_path / "sys")
    (second / "driver").unlink()
    assert merge_collected(look(), known)["nvidia.com/gpu.count"] == "1"


@pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists(), reason="this machine has an NVIDIA driver, which would answer"
)
@pytest.mark.parametrize("sign", ["dev/dxg", "etc/nv_tegra_release"])
def test_labels_stay_on_a_machine_without_pci_whose_driver_is_gone(sign: str, tmp_path: Path) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / sign).parent.mkdir()
    settings = GfdSettings(timestamp=False)
    known = passes(looking(settings, edges(tmp_path, "wsl"), Services())())

    def look() -> tuple[Collected, ...]:
        return looking(settings, edges(tmp_path, discovery="tegra"), Services())()

    assert merge_collected(look(), known) == {"nvidia.com/vgpu.present": "false"}
    (tmp_path / sign).touch()
    assert merge_collected(look(), known) == known


def test_the_settings_of_the_command_line_carry_what_the_config_file_shares(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("sharing: {mps: {resources: [{name: gpu, replicas: 4}]}}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert gfd_settings(values).sharing == MPS
    without = parse_command(command, [], "gfd")
    assert without is not None
    assert gfd_settings(without).sharing is None


def test_a_mig_instance_that_comes_is_looked_at_without_waiting_for_a_pass(tmp_path: Path) -> None:
    made = edges(tmp_path, "a100x8")
    agent = build_agent(GfdSettings(publish="stdout"), made, Services())
    nodes = tmp_path / "dev" / "nvidia-caps"
    for part in made.parts:
        part.start()
    try:
        assert agent.mailbox.holds(Pass, 10), "once at the start"
        agent.mailbox.take(0)
        nodes.mkdir(parents=True)
        (nodes / "nvidia-cap21").touch()
        assert agent.mailbox.holds(Pass, 10), "and not as a change of rules, which may wait for a second"
    finally:
        for part in made.parts:
            part.stop()
