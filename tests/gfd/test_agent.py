"""The gfd agent: labels after a discovery that failed or failed in part."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gfd.__main__ import command
from gfd.agent import build_agent, build_collector, collect_labels, read_classes, report_numa
from gfd.labelers import LabelOptions
from gfd.settings import GfdSettings, gfd_settings
from gpu_core.assembly import Dependencies
from gpu_core.discovery.strategy import Strategy
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.inventory import Fault, Inventory, Platform
from gpu_core.domain.resources import NamePattern, ResourceNames, resource_name
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpu_core.nvml.inventory import read_inventory
from node_core.domain.desired import CollectorResult, merge_labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.runtime.command import parse_command
from node_core.runtime.messages import Resync
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.conftest import Golden

OPTIONS = LabelOptions(mig_strategy="none", machine="m", timestamp=None)


def discover() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


def lose_one(inventory: Inventory) -> Inventory:
    return replace(inventory, gpus=inventory.gpus[:-1], faults=(Fault(index=7, uuid=None, reason="GPU_IS_LOST"),))


def test_a_lost_gpu_changes_no_gpu_label_but_driver_labels_are_updated() -> None:
    healthy = discover()
    published = merge_labels(collect_labels(healthy, OPTIONS), {})
    assert healthy.driver is not None
    upgraded = replace(lose_one(healthy), driver=replace(healthy.driver, version="570.1.2"))
    after = merge_labels(collect_labels(upgraded, OPTIONS), published)
    assert after["nvidia.com/gpu.count"] == "8"
    assert after["nvidia.com/cuda.driver-version.full"] == "570.1.2"
    assert after.keys() == published.keys()


def test_a_node_that_loses_all_gpus_retains_every_label() -> None:
    healthy = discover()
    published = merge_labels(collect_labels(healthy, OPTIONS), {})
    lost = tuple(Fault(index=gpu.index, uuid=gpu.uuid, reason="GPU_IS_LOST") for gpu in healthy.gpus)
    assert merge_labels(collect_labels(replace(healthy, gpus=(), faults=lost), OPTIONS), published) == published


def test_a_node_that_starts_with_a_lost_gpu_is_labelled_with_the_readable_gpus() -> None:
    assert merge_labels(collect_labels(lose_one(discover()), OPTIONS), {})["nvidia.com/gpu.count"] == "7"


def test_a_removed_gpu_is_no_longer_counted() -> None:
    published = merge_labels(collect_labels(discover(), OPTIONS), {})
    fewer = replace(discover(), gpus=discover().gpus[:-1])
    assert merge_labels(collect_labels(fewer, OPTIONS), published)["nvidia.com/gpu.count"] == "7"


GUEST = bytes((0x09, 0, 27)) + b"VF" + bytes((0, 22)) + b"460.16".ljust(10, b"\0") + b"r460_00".ljust(10, b"\0")
MPS = Sharing(
    strategy=SharingStrategy.MPS,
    resources=(SharedResource(resource=resource_name("gpu"), replicas=4, advertised=resource_name("gpu")),),
    fail_requests_greater_than_one=True,
)


def dependencies(root: Path, simulate: str | None = None, discovery: Strategy = "auto") -> Dependencies:
    return Dependencies(
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


def collector_for(
    settings: GfdSettings, dependencies: Dependencies, services: Services
) -> Callable[[], tuple[CollectorResult, ...]]:
    return build_collector(lambda: settings, dependencies, services)


def board(root: Path, address: str, *, shown: int = 256) -> Path:
    """Creates a vGPU. shown: the readable bytes of its configuration space."""
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


def passes(*found: tuple[CollectorResult, ...]) -> dict[str, str]:
    """Returns the labels after consecutive passes."""
    known: dict[str, str] = {}
    for results in found:
        known = merge_labels(results, known)
    return known


def below(labels: dict[str, str], prefix: str) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(f"nvidia.com/{prefix}")}


def test_a_guest_has_vgpu_labels_while_nvml_fails(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0")
    services = Services()
    collect = collector_for(GfdSettings(), dependencies(tmp_path), services)
    found = below(passes(collect()), "vgpu.")
    assert found == {
        "nvidia.com/vgpu.present": "true",
        "nvidia.com/vgpu.host-driver-version": "460.16",
        "nvidia.com/vgpu.host-driver-branch": "r460_00",
    }
    assert services.readiness.problems()["gfd/vgpus"] is None


def test_vgpu_labels_are_retained_while_pci_cannot_be_read(tmp_path: Path) -> None:
    folder = board(tmp_path, "0000:02:00.0")
    services = Services()
    collect = collector_for(GfdSettings(), dependencies(tmp_path), services)
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


def test_an_incomplete_configuration_space_is_logged_once_and_has_no_label(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0", shown=64)
    collect = collector_for(GfdSettings(), dependencies(tmp_path), Services())
    with capture_logs() as lines:
        assert below(passes(collect(), collect(), collect()), "vgpu.") == {}
    assert [line["event"] for line in lines if line["event"] == "vgpus_unknown"] == ["vgpus_unknown"]


def test_mps_on_a_node_with_mig_is_logged_once_and_not_offered(tmp_path: Path) -> None:
    collect = collector_for(GfdSettings(sharing=MPS), dependencies(tmp_path, "a100x4-mig-single"), Services())
    with capture_logs() as lines:
        found = passes(collect(), collect())
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["mps_blocked_by_mig"]
    assert (found["nvidia.com/mps.capable"], found["nvidia.com/gpu.replicas"]) == ("false", "0")
    offered = passes(collector_for(GfdSettings(sharing=MPS), dependencies(tmp_path, "h100x8"), Services())())
    assert (offered["nvidia.com/mps.capable"], offered["nvidia.com/gpu.replicas"]) == ("true", "4")


def test_sharing_uses_the_resource_names_of_the_settings(tmp_path: Path) -> None:
    names = ResourceNames(gpus=(NamePattern(pattern="*H100*", resource=resource_name("h100")),))
    settings = GfdSettings(sharing=MPS, rules=DeviceRules(names=names))
    assert (
        passes(collector_for(settings, dependencies(tmp_path, "h100x8"), Services())())["nvidia.com/gpu.replicas"]
        == "1"
    )


def test_simulated_gpus_have_a_mode_and_are_not_virtual(tmp_path: Path) -> None:
    board(tmp_path, "0000:02:00.0")
    found = passes(collector_for(GfdSettings(), dependencies(tmp_path, "h100x8"), Services())())
    assert (found["nvidia.com/gpu.mode"], found["nvidia.com/vgpu.present"]) == ("compute", "false")


@pytest.mark.parametrize("name", ["wsl", "jetson-orin", "h100x8"])
def test_simulated_gpus_are_on_the_platform_of_their_scenario(name: str, tmp_path: Path) -> None:
    platforms = {"wsl": Platform.WSL, "jetson-orin": Platform.TEGRA, "h100x8": Platform.NVML}
    assert dependencies(tmp_path, name).inventory.discover().platform is platforms[name]


def test_the_class_of_a_gpu_off_pci_is_missing_and_an_unreadable_class_is_an_error(
    tmp_path: Path,
) -> None:
    inventory = discover()
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


def test_the_mode_is_retained_while_pci_cannot_be_read() -> None:
    inventory = discover()
    classes = {gpu.address: "030200" for gpu in inventory.gpus if gpu.address is not None}
    healthy = collect_labels(inventory, replace(OPTIONS, pci_classes=classes))
    broken = collect_labels(inventory, OPTIONS)
    assert passes(healthy, broken) == passes(healthy)
    assert "nvidia.com/gpu.mode" not in passes(broken)


def test_numa_labels_are_retained_while_a_file_cannot_be_read() -> None:
    healthy = discover()
    published = merge_labels(collect_labels(healthy, OPTIONS), {})
    blind = (replace(healthy.gpus[0], numa_node=None, numa_fault="cannot read numa_node"), *healthy.gpus[1:])
    assert merge_labels(collect_labels(replace(healthy, gpus=blind), OPTIONS), published) == published
    assert below(merge_labels(collect_labels(replace(healthy, gpus=blind), OPTIONS), {}), "gpu.numa.") == {}
    none = (replace(healthy.gpus[0], numa_node=None), *healthy.gpus[1:])
    assert below(merge_labels(collect_labels(replace(healthy, gpus=none), OPTIONS), published), "gpu.numa.") == {}


def test_the_machine_is_retained_while_its_file_cannot_be_read_and_unknown_without_a_file(tmp_path: Path) -> None:
    file = tmp_path / "product_name"
    file.write_text("Example Server\n")
    services = Services()
    settings = GfdSettings(machine_type_file="/product_name", timestamp=False)
    collect = collector_for(settings, dependencies(tmp_path, "t4x1"), services)
    known = passes(collect())
    assert known["nvidia.com/gpu.machine"] == "Example-Server"
    file.unlink()
    file.mkdir()
    assert passes(collect()) == {key: value for key, value in known.items() if key != "nvidia.com/gpu.machine"}
    assert merge_labels(collect(), known) == known
    assert "/product_name" in (services.readiness.problems()["gfd/machine"] or "")
    file.rmdir()
    assert merge_labels(collect(), known) == {**known, "nvidia.com/gpu.machine": "unknown"}
    assert services.readiness.problems()["gfd/machine"] is None


def test_without_a_machine_type_file_the_machine_is_unknown(tmp_path: Path) -> None:
    collect = collector_for(GfdSettings(machine_type_file=""), dependencies(tmp_path, "t4x1"), Services())
    assert passes(collect())["nvidia.com/gpu.machine"] == "unknown"


def test_an_unreadable_numa_file_is_reported_until_it_can_be_read() -> None:
    services = Services()
    healthy = discover()
    blind = replace(healthy, gpus=(replace(healthy.gpus[0], numa_fault="cannot read numa_node"),))
    for inventory, problem in ((healthy, None), (blind, "cannot read numa_node"), (healthy, None)):
        report_numa(services, inventory)
        assert services.readiness.problems()["gfd/numa"] == problem


def passed_through(root: Path, address: str) -> Path:
    folder = board(root, address)
    (folder / "config").write_bytes(bytes(256))
    (folder / "numa_node").write_text("0\n")
    (folder / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    return folder


@pytest.mark.golden
def test_gpus_for_virtual_machines_are_labelled_from_pci(tmp_path: Path, golden: Golden) -> None:
    names = tmp_path / "usr/share/misc/pci.ids"
    names.parent.mkdir(parents=True)
    names.write_text("10de  NVIDIA Corporation\n\t1eb8  TU104GL [Tesla T4]\n")
    for address in ("0000:02:00.0", "0000:03:00.0"):
        passed_through(tmp_path, address)
    found = passes(collector_for(GfdSettings(timestamp=False), dependencies(tmp_path, discovery="vfio"), Services())())
    golden("gfd/vfio-none.txt", "".join(f"{key}={value}\n" for key, value in found.items()))


def test_labels_of_gpus_for_virtual_machines_are_retained_while_pci_cannot_be_read(tmp_path: Path) -> None:
    first, second = (passed_through(tmp_path, address) for address in ("0000:02:00.0", "0000:03:00.0"))
    services = Services()

    def discover() -> tuple[CollectorResult, ...]:
        fresh = dependencies(tmp_path, discovery="vfio")
        return collector_for(GfdSettings(timestamp=False, machine_type_file=""), fresh, services)()

    known = passes(discover())
    assert known["nvidia.com/gpu.count"] == "2"
    (first / "device").unlink()
    assert merge_labels(discover(), known) == known
    (first / "device").write_text("0x1eb8\n")
    (tmp_path / "sys").rename(tmp_path / "elsewhere")
    assert below(merge_labels(discover(), known), "gpu.") == below(known, "gpu.")
    assert "sysfs" in (services.readiness.problems()["gfd/gpus"] or "")
    (tmp_path / "elsewhere").rename(tmp_path / "sys")
    (second / "driver").unlink()
    assert merge_labels(discover(), known)["nvidia.com/gpu.count"] == "1"


@pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists(), reason="this machine has an NVIDIA driver, which would return GPUs"
)
@pytest.mark.parametrize("sign", ["dev/dxg", "etc/nv_tegra_release"])
def test_labels_are_retained_on_a_machine_without_pci_if_the_driver_is_missing(sign: str, tmp_path: Path) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / sign).parent.mkdir()
    settings = GfdSettings(timestamp=False)
    known = passes(collector_for(settings, dependencies(tmp_path, "wsl"), Services())())

    def discover() -> tuple[CollectorResult, ...]:
        return collector_for(settings, dependencies(tmp_path, discovery="tegra"), Services())()

    assert merge_labels(discover(), known) == {"nvidia.com/vgpu.present": "false"}
    (tmp_path / sign).touch()
    assert merge_labels(discover(), known) == known


def test_the_settings_contain_the_sharing_of_the_config_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("sharing: {mps: {resources: [{name: gpu, replicas: 4}]}}\n")
    values = parse_command(command, ["--config-file", str(path)], "gfd")
    assert values is not None
    assert gfd_settings(values).sharing == MPS
    without = parse_command(command, [], "gfd")
    assert without is not None
    assert gfd_settings(without).sharing is None


def test_a_new_mig_instance_is_discovered_immediately(tmp_path: Path) -> None:
    built = dependencies(tmp_path, "a100x8")
    agent = build_agent(GfdSettings(publish="stdout"), built, Services())
    nodes = tmp_path / "dev" / "nvidia-caps"
    for service in built.background_services:
        service.start()
    try:
        assert agent.mailbox.wait_for(Resync, 60), "once at the start"
        agent.mailbox.get(0)
        nodes.mkdir(parents=True)
        (nodes / "nvidia-cap21").touch()
        assert agent.mailbox.wait_for(Resync, 60), "and not as a change of rules, which may wait for a second"
    finally:
        for service in built.background_services:
            service.stop()
