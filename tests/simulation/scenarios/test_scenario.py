"""Scenarios: the included files, the loading of files, and the errors of files that are not valid."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from node_core.errors import SettingsError
from simulation.scenarios.file_format import FaultKind
from simulation.scenarios.mig_profiles import BOARDS, parse_instance
from simulation.scenarios.scenario import load_scenario, parse_fault, parse_scenario, pci_attributes, scenario_names

GPU = {"model": "NVIDIA A100-SXM4-40GB", "count": 2, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}

RTX = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
KINDS = get_args(FaultKind)


def problems(document: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        parse_scenario("wrong", document, source="wrong.yaml")
    return [problem.removeprefix("wrong.yaml: ") for problem in raised.value.problems]


def test_the_included_scenarios_are_sorted_by_name() -> None:
    assert scenario_names() == (
        "a100x4-mig-single",
        "a100x8",
        "gb10",
        "gb200x4",
        "h100x8",
        "h100x8-mig-mixed",
        "jetson-orin",
        "jetson-thor",
        "l40sx4",
        "mixed-models",
        "none",
        "t4x1",
        "wsl",
    )


@pytest.mark.parametrize("name", scenario_names())
def test_gpus_of_included_scenarios_have_unique_addresses_and_uuids(name: str) -> None:
    gpus = load_scenario(name).gpus
    uuids = [gpu.uuid for gpu in gpus] + [mig.uuid for gpu in gpus for mig in gpu.mig_devices]
    assert len(set(uuids)) == len(uuids)
    assert all(re.fullmatch(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in uuids)
    assert len({gpu.address for gpu in gpus}) == len(gpus)


def test_uuids_are_the_same_after_each_load_and_differ_between_scenarios() -> None:
    first = load_scenario("h100x8").gpus[0].uuid
    assert load_scenario("h100x8").gpus[0].uuid == first
    assert load_scenario("a100x8").gpus[0].uuid != first


def test_gpu_instances_of_one_gpu_have_unique_ids() -> None:
    cut = load_scenario("h100x8-mig-mixed").gpus[7]
    assert [mig.gpu_instance for mig in cut.mig_devices] == [1, 3, 7, 8]


def test_a_path_is_loaded_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('driver: {version: "1.2"}\ngpus: [{model: Mine, count: 1, device_id: "1234"}]\n')
    scenario = load_scenario(str(path))
    assert (scenario.name, scenario.gpus[0].model, scenario.gpus[0].memory_bytes) == ("mine", "Mine", None)


def test_a_fault_is_parsed_and_checked_for_the_gpus_of_a_scenario() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    (fault,) = parse_fault(scenario, {"kind": "xid", "gpu": 0, "code": 79}, number=1).faults
    assert (fault.kind, fault.gpu, fault.code, fault.at, fault.for_) == ("xid", 0, 79, 0, None)
    with pytest.raises(SettingsError) as raised:
        parse_fault(scenario, {"kind": "xid", "gpu": 8}, number=1)
    assert list(raised.value.problems) == [
        "fault.code: is missing. A fault of the kind xid needs it.",
        "fault.gpu: there is no GPU 8, the last GPU is 7",
    ]
    with pytest.raises(SettingsError, match="fault: colour: unknown key"):
        parse_fault(scenario, {"kind": "lost", "gpu": 0, "colour": 1}, number=1)


def test_a_fault_of_a_gpu_in_a_scenario_without_gpus_is_an_error() -> None:
    with pytest.raises(SettingsError, match="there is no GPU 0, the scenario has no GPUs"):
        parse_fault(load_scenario("none"), {"kind": "lost", "gpu": 0}, number=1)


def test_added_mig_layouts_have_new_uuids_and_slots_for_later_faults() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    cut = {"kind": "mig", "gpu": 7, "instances": ["1g.10gb"] * 6}
    first, second = (parse_fault(scenario, cut, number=number) for number in (1000, 2000))
    uuids = [device.uuid for each in (first, second) for device in each.mig_layouts[0].mig_devices]
    assert len(set(uuids)) == 12
    xid = {"kind": "xid", "gpu": 7, "code": 94, "mig": 5}
    with pytest.raises(SettingsError, match="no MIG device in slot 5"):
        parse_fault(scenario, xid, number=1)
    assert parse_fault(scenario.with_faults_of(first), xid, number=1).faults[0].mig == 5


def test_delayed_faults_start_later_and_the_hardware_is_the_same() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    cut = parse_fault(scenario, {"at": 1, "kind": "mig", "gpu": 7, "instances": []}, number=1)
    late = scenario.with_faults_of(cut.delayed(9))
    assert late.has_same_hardware(scenario)
    assert not late.has_same_hardware(load_scenario("h100x8"))
    assert len(late.gpu_at(7, 9.5).mig_devices) == 4
    assert late.gpu_at(7, 10).mig_devices == ()


def test_the_error_for_an_unknown_name_contains_the_names_and_the_most_similar_one() -> None:
    with pytest.raises(
        SettingsError, match=r"there is no scenario 'h100x9' \(did you mean h100x8\?\)\. Use one of a100x4-mig-single, "
    ):
        load_scenario("h100x9")


def test_the_error_for_a_missing_file_contains_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml: does not exist"):
        load_scenario(str(tmp_path / "gone.yaml"))


def test_all_wrong_keys_and_types_are_reported_at_once_with_their_paths() -> None:
    assert problems(
        {
            "diver": {},
            "driver": {"version": 550},
            "gpus": [{**GPU, "cuont": 2}, {"model": "X", "count": 0, "device_id": "20B0"}],
            "faults": [{"at": -1, "kind": "slow"}],
        }
    ) == [
        "diver: unknown key (did you mean driver?)",
        "driver.version: must be text, found the number 550. Put the value in quotes",
        "gpus[0].cuont: unknown key (did you mean count?)",
        "gpus[1].count: must be a whole number from 1 to 64, found the number 0",
        "gpus[1].device_id: must be four hex digits in lower case, such as '20b0', found the text '20B0'",
        "faults[0].at: must be a number from 0 up, found the number -1",
        f"faults[0].kind: must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, found the text 'slow'",
    ]


def test_all_contradictions_are_reported_at_once_with_their_paths() -> None:
    found = problems(
        {
            "gpus": [
                {**GPU, "numa": [0], "pci": ["0000:01:00.0", "0000:01:00.0"], "memory": "40 GB"},
                {**GPU, "mig": {"mode": "enabled", "instances": ["7g.40gb", "1g.5gb", "9g.9gb", "3c.3g.20gb"]}},
                {**GPU, "mig": {"mode": "disabled", "instances": ["7g.40gb"]}},
                {**GPU, "model": "Tesla T4", "mig": {"mode": "enabled", "instances": ["1g.5gb"]}},
            ],
            "nvlink": {"nvswitch": True, "peers": [{"gpus": [0, 0], "links": 1}, {"gpus": [0, 8], "links": 1}]},
            "fabric": {"cluster_uuid": "00000000-0000-0000-0000-000000000000", "clique": 0},
            "faults": [
                {"at": 0, "kind": "lost"},
                {"at": 0, "kind": "driver_gone", "gpu": 0},
                {"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetMemInfo"},
                {"at": 0, "kind": "unsupported", "call": "nvmlSystemGetDriverVersion", "gpu": 0},
                {"at": 0, "kind": "xid", "gpu": 8, "code": 79},
                {"at": 0, "kind": "hang", "gpu": 0},
                {"at": 0, "kind": "hang", "gpu": 0, "call": "nvmlDeviceGetCount"},
                {"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetCount"},
            ],
        }
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "gpus[0].memory",
        "gpus[0].numa",
        "gpus[1].mig.instances[2]",
        "gpus[1].mig.instances[3]",
        "gpus[1].mig.instances",
        "gpus[2].mig.instances",
        "gpus[3].mig.instances",
        "gpus",
        "nvlink",
        "nvlink.peers[0].gpus",
        "nvlink.peers[1].gpus",
        "fabric.cluster_uuid",
        "faults[0].gpu",
        "faults[1].gpu",
        "faults[2].call",
        "faults[3].gpu",
        "faults[4].gpu",
        "faults[5].call",
        "faults[6].gpu",
        "faults[7].call",
    ]
    text = "\n".join(found)
    assert "8 of 7 compute slices" in text
    assert "did you mean nvmlDeviceGetMemoryInfo?" in text


@pytest.mark.parametrize(
    ("profile", "count", "used"),
    [
        ("2g.10gb", 4, "8 of 7 compute slices"),
        ("1g.10gb", 5, "10 of 8 memory slices"),
    ],
)
def test_a_gpu_has_seven_compute_slices_and_eight_memory_slices(profile: str, count: int, used: str) -> None:
    mig = {"mode": "enabled", "instances": [profile] * count}
    assert problems({"gpus": [{**GPU, "mig": mig}]}) == [f"gpus[0].mig.instances: the instances use {used}"]
    mig["instances"] = [profile] * (count - 1)
    assert parse_scenario("right", {"gpus": [{**GPU, "mig": mig}]}, source="right.yaml").gpus[0].mig_enabled


@pytest.mark.parametrize(
    ("model", "instances", "problem"),
    [
        (GPU["model"], ["1g.5gb+me"] * 2, "the instances use 2 of 1 JPEG engines and 2 of 1 OFA engines"),
        ("NVIDIA A30", ["1g.6gb"] * 5, "NVIDIA A30 can have at most 4 MIG devices, not 5"),
        ("NVIDIA A30", ["2g.12gb", "2g.12gb", "1g.6gb"], "the instances use 5 of 4 compute slices"),
        (RTX, ["1g.24gb+me.all", "1g.24gb"], "the instances use 5 of 4 decoders"),
        ("NVIDIA Thor", ["3g.0gb", "1g.0gb+gfx"], "the instances use 4 of 3 compute slices"),
        ("NVIDIA Thor", ["1g.0gb"] * 3, "NVIDIA Thor can have at most 2 MIG devices, not 3"),
    ],
)
def test_a_gpu_has_no_more_instances_than_its_engines_allow(model: str, instances: list[str], problem: str) -> None:
    (found,) = problems({"gpus": [{**GPU, "model": model, "mig": {"mode": "enabled", "instances": instances}}]})
    assert found.startswith(f"gpus[0].mig.instances: {problem}")


@pytest.mark.parametrize(
    ("model", "instances"),
    [
        ("NVIDIA A30", ["1g.6gb", "1g.6gb+me", "2g.12gb"]),
        ("NVIDIA H100 NVL", ["3g.47gb", "2g.24gb", "1g.12gb", "1g.12gb+me"]),
        ("NVIDIA H200", ["1g.18gb"] * 7),
        ("NVIDIA H200 NVL", ["3g.71gb", "3g.71gb"]),
        ("NVIDIA B200", ["4g.90gb", "3g.90gb"]),
        ("NVIDIA GB200", ["1g.47gb"] * 4),
        ("NVIDIA B300 SXM6 AC", ["7g.269gb"]),
        ("NVIDIA GB300", ["2g.70gb"] * 3 + ["1g.35gb"]),
        (RTX, ["1g.24gb+gfx"] * 4),
        (RTX, ["1g.24gb+me.all", "1g.24gb-me", "2g.48gb-me"]),
        (RTX, ["4g.96gb+gfx"]),
        ("NVIDIA Thor", ["1g.0gb+me", "2g.0gb+gfx"]),
    ],
)
def test_the_usual_layouts_of_each_board_can_be_simulated(model: str, instances: list[str]) -> None:
    gpu = {
        **GPU,
        "model": model,
        "memory": f"{BOARDS[model].memory_mib}Mi",
        "mig": {"mode": "enabled", "instances": instances},
    }
    scenario = parse_scenario("right", {"gpus": [gpu]}, source="right.yaml")
    assert [device.instance.name for device in scenario.gpus[0].mig_devices] == instances


def test_the_error_for_a_model_without_known_profiles_contains_the_known_models() -> None:
    gpu = {**GPU, "model": "NVIDIA H20", "mig": {"mode": "enabled", "instances": ["1g.12gb"]}}
    (problem,) = problems({"gpus": [gpu]})
    assert problem.startswith("gpus[0].mig.instances: the MIG profiles of NVIDIA H20 are unknown")
    assert all(model in problem for model in BOARDS)
    empty = {**GPU, "model": "NVIDIA H20", "mig": {"mode": "enabled"}}
    assert parse_scenario("right", {"gpus": [empty]}, source="right.yaml").gpus[0].mig_enabled


@pytest.mark.parametrize(
    ("model", "profile"), [(model, profile) for model, board in BOARDS.items() for profile in board.profiles]
)
def test_the_smallest_compute_instance_of_each_profile_has_a_share_of_the_multiprocessors(
    model: str, profile: str
) -> None:
    whole = parse_instance(model, profile).attributes
    assert whole.compute_instance_slices == whole.gpu_instance_slices
    if whole.gpu_instance_slices > 1:
        part = parse_instance(model, f"1c.{profile}").attributes
        assert (part.compute_instance_slices, part.gpu_instance_slices) == (1, whole.gpu_instance_slices)
        assert part.multiprocessors == whole.multiprocessors // whole.gpu_instance_slices


def test_the_number_of_links_to_nvswitches_is_that_of_the_file() -> None:
    assert {gpu.links.switched for gpu in load_scenario("a100x8").gpus} == {12}
    assert {gpu.links.switched for gpu in load_scenario("h100x8").gpus} == {18}
    assert problems({"gpus": [GPU], "nvlink": {"switch_links": 4}}) == [
        "nvlink.switch_links: set `nvswitch: true`, or remove this key"
    ]


CUT = {**GPU, "mig": {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}}


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "xid", "gpu": 0}, "code: is missing. A fault of the kind xid needs it."),
        ({"kind": "xid", "gpu": 0, "code": 0}, "code: must be a whole number from 1 to 4294967295, found the number 0"),
        (
            {"kind": "xid", "gpu": 0, "code": 94, "mig": 0},
            "mig: GPU 0 has no MIG device in slot 0, the GPU has no MIG devices",
        ),
        (
            {"kind": "xid", "gpu": 2, "code": 94, "mig": 2},
            "mig: GPU 2 has no MIG device in slot 2, the last slot is 1",
        ),
        ({"kind": "xid", "gpu": 0, "code": 13, "per_second": 5}, "per_second: set `times`, or remove this key"),
        (
            {"kind": "xid", "gpu": 0, "code": 13, "times": 0},
            "times: must be a whole number from 1 to 1000000, found the number 0",
        ),
        (
            {"kind": "xid", "gpu": 0, "code": 13, "times": 2_000_000},
            "times: must be a whole number from 1 to 1000000, found the number 2000000",
        ),
        ({"kind": "xid", "gpu": 0, "code": 13, "count": 5}, "count: a fault of the kind xid does not have this key"),
        ({"kind": "ecc", "gpu": 0}, "count: is missing. A fault of the kind ecc needs it."),
        (
            {"kind": "memory", "gpu": 0, "state": "broken"},
            "state: must be remap-pending, remap-failed, ",
        ),
        (
            {"kind": "memory", "gpu": 0, "state": "in-progress"},
            "state: a fault of the kind memory has no state in-progress. Use one of remap-pending, remap-failed, retirement-pending.",
        ),
        (
            {"kind": "fabric", "state": "remap-failed"},
            (
                "state: a fault of the kind fabric has no state remap-failed. "
                "Use one of not-started, in-progress, degraded-bandwidth, route-unhealthy."
            ),
        ),
        ({"kind": "nvlink", "gpu": 0, "count": 1}, "count: GPU 0 has 0 NVLinks"),
        (
            {"kind": "recovery", "gpu": 0, "action": "pray"},
            "action: must be none, reset, reboot, drain-p2p or drain-reset, found the text 'pray'",
        ),
        ({"kind": "recovery", "action": "reset"}, "gpu: is missing. A fault of the kind recovery needs it."),
        ({"kind": "throttle", "gpu": 9, "brake": "power"}, "gpu: there is no GPU 9, the last GPU is 2"),
        (
            {"kind": "mig", "gpu": 0, "instances": []},
            "gpu: GPU 0 has no MIG devices to change. Set `mig: {mode: enabled}` for the GPU.",
        ),
        ({"kind": "mig", "gpu": 2}, "instances: is missing. A fault of the kind mig needs it."),
        (
            {"kind": "mig", "gpu": 2, "instances": ["7g.40gb", "1g.5gb"]},
            "instances: the instances use 8 of 7 compute slices and 9 of 8 memory slices",
        ),
        ({"kind": "lost", "gpu": 0, "mig": 0}, "mig: a fault of the kind lost does not have this key"),
        ({"kind": "fails", "call": "nvmlInit_v2"}, "result: is missing. A fault of the kind fails needs it."),
        (
            {"kind": "fails", "call": "nvmlInit_v2", "result": "UNKNOWN", "gpu": 0},
            "gpu: remove this key, because nvmlInit_v2 is not a call for one GPU",
        ),
        (
            {"kind": "fails", "call": "nvmlEventSetWait_v2", "result": "UNKNOWN", "gpu": 0},
            "gpu: remove this key, because nvmlEventSetWait_v2 is not a call for one GPU",
        ),
        ({"kind": "fails", "call": "nvmlDeviceGetName", "result": "BAD"}, "result: must be UNINITIALIZED, "),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_fault_that_is_not_valid_is_reported_with_its_path(fault: dict[str, object], problem: str) -> None:
    whole = {**GPU, "count": 2}
    cut = {**CUT, "count": 1}
    (found,) = problems({"gpus": [whole, cut], "faults": [{"at": 0, **fault}]})
    assert found.startswith(f"faults[0].{problem}")


def test_a_gpu_with_mig_disabled_cannot_have_a_mig_fault() -> None:
    off = {**GPU, "count": 1, "mig": {"mode": "disabled"}}
    found = problems({"gpus": [off], "faults": [{"at": 0, "kind": "mig", "gpu": 0, "instances": ["1g.5gb"]}]})
    assert found == ["faults[0].gpu: GPU 0 has no MIG devices to change. Set `mig: {mode: enabled}` for the GPU."]


def test_a_pcie_level_contains_each_existing_gpu_at_most_once() -> None:
    gpus = [{**GPU, "count": 2}, {"model": "Orin (nvgpu)", "count": 1, "pci": "none"}]
    found = problems({"gpus": gpus, "pcie": {"switch": [[0, 1], [1, 9]], "board": [[0, 2]], "root": []}})
    assert found == ["pcie.root: unknown key"]
    assert problems({"gpus": gpus, "pcie": {"switch": [[0, 1], [1, 9]], "board": [[0, 2]]}}) == [
        "pcie.board: GPU 2 is not on a PCI bus",
        "pcie.switch: GPU 1 occurs twice",
        "pcie.switch: there is no GPU 9, the last GPU is 2",
    ]


def test_a_gpu_that_is_not_on_a_pci_bus_has_no_pci_keys_and_no_nvlinks() -> None:
    assert problems({"gpus": [{**GPU, "pci": "nowhere"}]}) == [
        "gpus[0].pci: must be none or a list, found the text 'nowhere'"
    ]
    found = problems(
        {
            "gpus": [
                {"model": "Orin (nvgpu)", "count": 1, "pci": "none", "device_id": "1234", "numa": 0},
                {"model": "Tesla T4", "count": 1},
            ],
            "nvlink": {"peers": [{"gpus": [0, 1], "links": 1}, {"gpus": [1, 2], "links": 1}]},
        }
    )
    assert found == [
        "gpus[0].device_id: remove this key, because `pci` is `none`",
        "gpus[0].numa: remove this key, because `pci` is `none`",
        "gpus[1].device_id: is missing",
        "nvlink.peers[1].gpus: there is no GPU 2, the last GPU is 1",
        "nvlink.peers[0].gpus: GPU 0 is not on a PCI bus, so it cannot have NVLinks",
    ]


@pytest.mark.parametrize("name", ["jetson-orin", "wsl"])
def test_gpus_that_are_not_on_a_pci_bus_of_linux_have_no_pci_functions(name: str) -> None:
    assert pci_attributes(load_scenario(name)) == ()
    assert load_scenario(name).on_pci == {}


def test_pci_functions_have_the_format_of_nfd() -> None:
    assert pci_attributes(load_scenario("none")) == ()
    assert pci_attributes(load_scenario("t4x1")) == (
        {"class": "0302", "vendor": "10de", "device": "1eb8", "subsystem_vendor": "10de", "subsystem_device": "12a2"},
    )


def test_the_use_of_a_gpu_is_checked() -> None:
    wrong = {"gpu": 101, "power": -1, "processes": [{"pid": 0}]}
    assert problems({"gpus": [{**GPU, "use": wrong}]}) == [
        "gpus[0].use.gpu: must be a whole number from 0 to 100, found the number 101",
        "gpus[0].use.power: must be a number from 0 to 100000, found the number -1",
        "gpus[0].use.processes[0].pid: must be a whole number from 1 to 4194303, found the number 0",
    ]
    unfit = {"used": "5 GB", "processes": [{"pid": 4, "memory": "1", "mig": 0}]}
    quantity, *rest = problems({"gpus": [{**GPU, "use": unfit}]})
    assert quantity.startswith("gpus[0].use.used: '5 GB' is not a quantity")
    assert rest == [
        "gpus[0].use.processes[0].memory: '1' is less than 1Mi. Specify the unit, such as 16Gi or 81559Mi.",
        "gpus[0].use.processes[0].mig: there is no MIG device in slot 0",
    ]
