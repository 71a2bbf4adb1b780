"""Discovering a node: unsupported values are None, broken GPUs are faults, and neither affects other GPUs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpu_core.domain.inventory import CudaVersion, Fabric, Gpu, Inventory, NvLinkPeer, PciPath, PciPeer, Platform
from gpu_core.nvml.api import FUNCTIONS, Nvml, OpenNvml
from gpu_core.nvml.inventory import parse_bus_id, parse_cuda_version, read_inventory
from gpu_core.nvml.mig_api import MIG_FUNCTIONS
from gpu_core.nvml.usage_api import USAGE_FUNCTIONS
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError, NvmlError
from node_core.host.pci import read_numa_node, try_read_numa_node
from node_core.host.root import HostRoot
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.checks import CALLS
from simulation.scenarios.scenario import Scenario, load_scenario, parse_scenario

BOARD = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
EVERYTHING: dict[str, Any] = {
    "driver": {"version": "550.54.15", "cuda": "12.4"},
    "gpus": [
        {**BOARD, "count": 1, "numa": 0, "mig": {"mode": "disabled"}},
        {**BOARD, "count": 1, "numa": 1, "mig": {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb+me", "1g.5gb"]}},
    ],
    "nvlink": {"peers": [{"gpus": [0, 1], "links": 4}]},
    "fabric": {"cluster_uuid": "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", "clique": 7},
}


def everything(*faults: dict[str, object]) -> Scenario:
    return parse_scenario("everything", {**EVERYTHING, "faults": list(faults)}, source="test")


def discover(scenario: Scenario, now: float = 0.0) -> Inventory:
    return read_inventory(simulated_nvml(scenario, lambda: now), numa_of(scenario))


class Failing:
    """NVML with one method that raises `code` if `when` returns true for the arguments."""

    def __init__(self, nvml: Nvml, method: str, code: str, when: Callable[..., bool]) -> None:
        self._nvml, self._method, self._code, self._when = nvml, method, code, when

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._nvml, name)
        if name != self._method:
            return real

        def query(*arguments: Any) -> Any:
            if self._when(*arguments):
                raise NvmlError(FUNCTIONS[name], self._code)
            return real(*arguments)

        return query


def failing(scenario: Scenario, method: str, code: str, when: Callable[..., bool] = lambda *_: True) -> OpenNvml:
    opened: Callable[[], AbstractContextManager[Nvml]] = simulated_nvml(scenario, lambda: 0.0)

    @contextmanager
    def open_nvml() -> Iterator[Nvml]:
        with opened() as nvml:
            yield Failing(nvml, method, code, when)

    return open_nvml


def test_a_discovery_reads_every_value() -> None:
    inventory = discover(everything())
    whole, with_mig = inventory.gpus
    assert inventory.driver is not None
    assert inventory.driver.cuda == CudaVersion(major=12, minor=4)
    assert inventory.faults == ()
    assert whole.address == "0000:10:00.0"
    assert whole.numa_node == 0
    assert whole.peers == (NvLinkPeer(address=PciAddress("0000:13:00.0"), links=4),)
    assert whole.fabric == Fabric(cluster_uuid="4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", clique=7)
    assert (whole.mig_capable, whole.mig_enabled, whole.mig_devices) == (True, False, ())
    assert [device.profile for device in with_mig.mig_devices] == ["3g.20gb", "1g.5gb+me", "1g.5gb"]
    assert [device.slot for device in with_mig.mig_devices] == [0, 1, 2]
    assert [device.start for device in with_mig.mig_devices] == [0, 4, 5]
    assert with_mig.mig_devices[0].attributes.memory_mib == 19968


def without_devices(gpu: Gpu) -> Gpu:
    return replace(gpu, mig_devices=())


def without_names(gpu: Gpu) -> Gpu:
    return replace(gpu, mig_devices=tuple(replace(device, profile=None) for device in gpu.mig_devices))


def without_profiles(gpu: Gpu) -> Gpu:
    return replace(gpu, mig_devices=tuple(replace(device, profile=None, start=None) for device in gpu.mig_devices))


OWN = {method: function for method, function in FUNCTIONS.items() if method not in {**USAGE_FUNCTIONS, **MIG_FUNCTIONS}}
"""The methods that a discovery may call."""
ABSENT_FACTS: dict[str, Callable[[Gpu], Gpu]] = {
    "nvmlDeviceGetMinorNumber": lambda gpu: replace(gpu, minor=None),
    "nvmlDeviceGetBrand": lambda gpu: replace(gpu, brand=None),
    "nvmlDeviceGetAddressingMode": lambda gpu: replace(gpu, addressing_mode=None),
    "nvmlDeviceGetPciInfo": lambda gpu: replace(gpu, address=None, numa_node=None, peers=()),
    "nvmlDeviceGetMemoryInfo": lambda gpu: without_names(replace(gpu, memory_bytes=None)),
    "nvmlDeviceGetCudaComputeCapability": lambda gpu: replace(gpu, compute=None),
    "nvmlDeviceGetMigMode": lambda gpu: replace(gpu, mig_capable=False, mig_enabled=False, mig_devices=()),
    "nvmlDeviceGetMaxMigDeviceCount": without_devices,
    "nvmlDeviceGetMigDeviceHandleByIndex": without_devices,
    "nvmlGpuInstanceGetInfo": without_profiles,
    "nvmlDeviceGetGpuFabricInfo": lambda gpu: replace(gpu, fabric=None),
    "nvmlDeviceGetNvLinkState": lambda gpu: replace(gpu, peers=(), switch_links=0),
}
MANDATORY = {"nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetName"}
MANDATORY_FOR_MIG = {"nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId", "nvmlDeviceGetAttributes"}
OF_STATES = {
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRetiredPagesPendingStatus",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetGpuFabricInfoV",
}
OF_EVENTS = {
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
}
OF_PAIRS = {"nvmlDeviceGetTopologyCommonAncestor"}
OF_USE = set(USAGE_FUNCTIONS.values()) - {"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetFieldValues"}
OF_THE_SYSTEM = {"nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion"}


def test_the_tables_below_contain_every_call() -> None:
    assert set(CALLS) == {
        *ABSENT_FACTS,
        *MANDATORY,
        *MANDATORY_FOR_MIG,
        *OF_STATES,
        *OF_EVENTS,
        *OF_PAIRS,
        *OF_USE,
        *MIG_FUNCTIONS.values(),
        *OF_THE_SYSTEM,
    }


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "FUNCTION_NOT_FOUND"])
@pytest.mark.parametrize("call", ABSENT_FACTS)
def test_an_unsupported_call_affects_only_its_own_value(call: str, code: str) -> None:
    scenario, before = everything(), discover(everything())
    method = next(method for method, function in OWN.items() if function == call)
    after = read_inventory(failing(scenario, method, code), numa_of(scenario))
    states = tuple(replace(old, nvlinks=new.nvlinks) for old, new in zip(before.states, after.states, strict=True))
    assert after == replace(before, gpus=tuple(ABSENT_FACTS[call](gpu) for gpu in before.gpus), states=states)


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "UNKNOWN", "GPU_IS_LOST"])
def test_a_failed_topology_query_makes_no_gpu_a_fault(code: str) -> None:
    scenario, before = everything(), discover(everything())
    after = read_inventory(failing(scenario, "device_get_topology_common_ancestor", code), numa_of(scenario))
    assert [gpu.pci_peers for gpu in before.gpus] == [
        (PciPeer(gpu=before.gpus[1].uuid, path=PciPath.SYSTEM),),
        (PciPeer(gpu=before.gpus[0].uuid, path=PciPath.SYSTEM),),
    ]
    assert after == replace(before, gpus=tuple(replace(gpu, pci_peers=()) for gpu in before.gpus))


def test_every_topology_level_has_a_path() -> None:
    document = {
        "driver": {"version": "1"},
        "gpus": [{**BOARD, "count": 7, "numa": [0, 0, 0, 0, 0, 0, 1]}],
        "pcie": {
            "board": [[0, 1]],
            "switch": [[0, 1, 2]],
            "switches": [[0, 1, 2, 3]],
            "host_bridge": [[0, 1, 2, 3, 4]],
        },
    }
    found = discover(parse_scenario("switches", document, source="test")).gpus[0].pci_peers
    assert [peer.path for peer in found] == list(PciPath)


@pytest.mark.parametrize("call", sorted(MANDATORY))
def test_a_gpu_without_handle_uuid_or_name_is_a_fault_and_others_are_read(call: str) -> None:
    before = discover(everything())
    after = discover(everything({"at": 0, "kind": "unsupported", "call": call, "gpu": 1}))
    assert [gpu.uuid for gpu in after.gpus] == [before.gpus[0].uuid]
    assert after.faults[0].index == 1
    assert after.faults[0].reason == f"{call} returned NOT_SUPPORTED"
    assert after.faults[0].uuid == (before.gpus[1].uuid if call == "nvmlDeviceGetName" else None)


@pytest.mark.parametrize("call", sorted(MANDATORY_FOR_MIG))
def test_unreadable_mig_devices_are_faults_of_a_readable_gpu(call: str) -> None:
    gpu = discover(everything({"at": 0, "kind": "unsupported", "call": call})).gpus[1]
    assert gpu.mig_devices == ()
    assert [fault.slot for fault in gpu.mig_faults] == [0, 1, 2]
    assert gpu.mig_faults[0].reason == f"{call} returned NOT_SUPPORTED"


def test_a_driver_without_a_version_does_not_hide_its_gpus() -> None:
    for call in OF_THE_SYSTEM:
        inventory = discover(everything({"at": 0, "kind": "unsupported", "call": call}))
        assert len(inventory.gpus) == 2
        assert inventory.driver is not None
        assert (inventory.driver.version == "") == (call == "nvmlSystemGetDriverVersion")
        assert (inventory.driver.cuda is None) == (call == "nvmlSystemGetCudaDriverVersion")


DESCRIPTIONS = ("device_get_brand", "device_get_addressing_mode")
OPTIONAL = sorted(
    method
    for method, function in OWN.items()
    if function in ABSENT_FACTS and "mig" not in method and method not in DESCRIPTIONS
)


@pytest.mark.parametrize("method", DESCRIPTIONS)
@pytest.mark.parametrize("code", ["UNKNOWN", "ARGUMENT_VERSION_MISMATCH"])
def test_an_error_of_a_call_that_only_describes_a_gpu_makes_no_gpu_a_fault(method: str, code: str) -> None:
    scenario, before = everything(), discover(everything())
    after = read_inventory(failing(scenario, method, code), numa_of(scenario))
    assert after != before
    assert after == replace(before, gpus=tuple(ABSENT_FACTS[OWN[method]](gpu) for gpu in before.gpus))


@pytest.mark.parametrize("method", OPTIONAL)
def test_any_other_error_of_an_optional_call_makes_that_gpu_a_fault(method: str) -> None:
    scenario, before = everything(), discover(everything())
    broken = failing(scenario, method, "UNKNOWN", when=lambda handle, *_: handle.gpu.index == 0)
    after = read_inventory(broken, numa_of(scenario))
    assert [gpu.uuid for gpu in after.gpus] == [before.gpus[1].uuid]
    assert [(fault.index, fault.uuid) for fault in after.faults] == [(0, before.gpus[0].uuid)]
    assert after.faults[0].reason.endswith("returned UNKNOWN")


def test_a_lost_gpu_is_a_fault_and_has_no_links() -> None:
    scenario = everything({"at": 5, "for": 5, "kind": "lost", "gpu": 1})
    assert [fault.index for fault in discover(scenario, 5.0).faults] == [1]
    assert discover(scenario, 5.0).gpus[0].peers == ()
    assert discover(scenario, 10.0) == discover(everything())


def test_a_gpu_that_is_lost_while_its_mig_devices_are_read_is_a_fault() -> None:
    scenario = everything()
    after = read_inventory(failing(scenario, "device_get_attributes", "GPU_IS_LOST"), numa_of(scenario))
    assert [fault.index for fault in after.faults] == [1]
    assert [gpu.index for gpu in after.gpus] == [0]


def test_an_empty_or_broken_slot_does_not_affect_other_mig_devices() -> None:
    scenario = everything()
    gap = failing(scenario, "device_get_mig_device_handle_by_index", "NOT_FOUND", when=lambda _, slot: slot == 0)
    assert [device.slot for device in read_inventory(gap, numa_of(scenario)).gpus[1].mig_devices] == [1, 2]
    broken = failing(scenario, "device_get_attributes", "UNKNOWN", when=lambda handle: handle.mig.slot == 1)
    gpu = read_inventory(broken, numa_of(scenario)).gpus[1]
    assert [device.slot for device in gpu.mig_devices] == [0, 2]
    assert [fault.slot for fault in gpu.mig_faults] == [1]


def test_a_profile_that_is_newer_than_pynvml_has_no_name() -> None:
    scenario = everything()
    gpu = read_inventory(failing(scenario, "device_get_mig_profile", "NOT_FOUND"), numa_of(scenario)).gpus[1]
    assert [device.profile for device in gpu.mig_devices] == [None, None, None]


@pytest.mark.parametrize("code", ["LIBRARY_NOT_FOUND", "DRIVER_NOT_LOADED"])
def test_without_library_or_driver_an_error_is_raised(code: str) -> None:
    document = {key: value for key, value in EVERYTHING.items() if code == "DRIVER_NOT_LOADED" or key != "driver"}
    faults = [{"at": 0, "kind": "driver_gone"}] if code == "DRIVER_NOT_LOADED" else []
    with pytest.raises(NvmlError) as raised:
        discover(parse_scenario("bare", {**document, "faults": faults}, source="test"))
    assert raised.value.code == code


def test_a_board_with_zero_bytes_has_no_memory() -> None:
    document = {**EVERYTHING, "gpus": [{**BOARD, "count": 1, "memory": "0"}], "nvlink": {}}
    assert discover(parse_scenario("unified", document, source="test")).gpus[0].memory_bytes is None


@pytest.mark.parametrize("name", ["DGX Display", "NVIDIA DGX Display"])
def test_display_boards_are_ignored(name: str) -> None:
    boards = [{**BOARD, "count": 1, "model": name}, {**BOARD, "count": 1}]
    inventory = discover(parse_scenario("dgx", {**EVERYTHING, "gpus": boards, "nvlink": {}}, source="test"))
    assert [gpu.index for gpu in inventory.gpus] == [1]
    display_only = discover(parse_scenario("dgx", {**EVERYTHING, "gpus": boards[:1], "nvlink": {}}, source="test"))
    assert display_only.why_empty == "the NVIDIA driver reports display boards only"


def test_an_integrated_gpu_may_lack_a_uuid_and_determines_the_platform() -> None:
    fault = {"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetUUID"}
    document = {**EVERYTHING, "nvlink": {}, "faults": [fault]}
    orin = {"model": "Orin (nvgpu)", "count": 1, "pci": "none"}
    orin_alone = discover(parse_scenario("orin", {**document, "gpus": [orin]}, source="test"))
    assert [(gpu.uuid, gpu.address, gpu.numa_node) for gpu in orin_alone.gpus] == [("tegra-0", None, None)]
    assert (orin_alone.platform, orin_alone.faults) == (Platform.TEGRA, ())
    mixed = discover(parse_scenario("igx", {**document, "gpus": [{**BOARD, "count": 1}, orin]}, source="test"))
    assert [gpu.uuid for gpu in mixed.gpus] == ["tegra-1"]
    assert [fault.index for fault in mixed.faults] == [0]


@pytest.mark.parametrize(
    ("name", "platform"),
    [("jetson-orin", "tegra"), ("jetson-thor", "tegra"), ("wsl", "wsl"), ("gb10", "nvml"), ("h100x8", "nvml")],
)
def test_the_scenarios_have_the_expected_platforms(name: str, platform: str) -> None:
    scenario = load_scenario(name)
    nvml = simulated_nvml(scenario, lambda: 0.0)
    assert read_inventory(nvml, numa_of(scenario), wsl=scenario.wsl).platform == platform


def test_a_driver_without_gpus_has_a_reason() -> None:
    empty = discover(parse_scenario("empty", {"driver": {"version": "550.54.15"}}, source="test"))
    assert empty.why_empty == "the NVIDIA driver is loaded, but reports no GPU"


def test_an_unreadable_numa_file_does_not_make_the_gpu_a_fault() -> None:
    def unreadable(address: PciAddress) -> int | None:
        raise HostReadError(f"cannot read numa_node of {address}")

    inventory = read_inventory(simulated_nvml(everything(), lambda: 0.0), unreadable)
    found = [(gpu.numa_node, gpu.numa_fault) for gpu in inventory.gpus]
    assert found == [(None, f"cannot read numa_node of {gpu.address}") for gpu in inventory.gpus]
    assert inventory.faults == ()


@pytest.mark.parametrize(
    ("content", "node", "fault"),
    [
        ("1\n", 1, None),
        ("-1\n", None, None),
        (None, None, None),
        ("one\n", None, "'one', which is not a number"),
        ("", None, "''"),
    ],
)
def test_a_missing_numa_node_is_none_and_an_unreadable_one_an_error(
    tmp_path: Path, content: str | None, node: int | None, fault: str | None
) -> None:
    address = PciAddress("0000:17:00.0")
    folder = tmp_path / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "numa_node").write_text(content)
    found, why = try_read_numa_node(lambda each: read_numa_node(HostRoot(tmp_path), each), address)
    assert found == node
    assert (why is None) == (fault is None)
    assert (fault or "") in (why or "")


def test_a_missing_numa_file_without_sysfs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="/sys is empty"):
        read_numa_node(HostRoot(tmp_path), PciAddress("0000:17:00.0"))


def test_a_numa_file_that_is_a_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    address = PciAddress("0000:17:00.0")
    (tmp_path / "sys/bus/pci/devices" / address / "numa_node").mkdir(parents=True)
    with pytest.raises(HostReadError, match=r"/sys/bus/pci/devices/0000:17:00\.0/numa_node"):
        read_numa_node(HostRoot(tmp_path), address)


@pytest.mark.parametrize(
    ("bus_id", "address"),
    [
        ("00000000:17:00.0", "0000:17:00.0"),
        ("00000000:CA:00.0", "0000:ca:00.0"),
        ("00000008:01:00.0", "0008:01:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
        ("0000:17:00.0", "0000:17:00.0"),
    ],
)
def test_a_bus_id_is_parsed_to_the_address_in_sysfs(bus_id: str, address: str) -> None:
    assert parse_bus_id(bus_id) == address


@pytest.mark.parametrize(
    ("number", "version"), [(12040, (12, 4)), (13010, (13, 1)), (11080, (11, 8)), (12100, (12, 10))]
)
def test_a_cuda_version_is_parsed_from_its_number(number: int, version: tuple[int, int]) -> None:
    assert parse_cuda_version(number) == CudaVersion(major=version[0], minor=version[1])
