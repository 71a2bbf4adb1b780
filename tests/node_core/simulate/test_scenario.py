"""Scenario files: the shipped ones are sound, and a wrong one says everything that is wrong with it."""

import re
from pathlib import Path
from typing import Any

import pytest

from node_core.errors import SettingsError
from node_core.simulate.mig_profiles import PROFILES, parse_instance
from node_core.simulate.scenario import load_scenario, parse_scenario, pci_attributes, scenario_names

GPU = {"model": "NVIDIA A100-SXM4-40GB", "count": 2, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}


def problems(document: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        parse_scenario("wrong", document, source="wrong.yaml")
    return [problem.removeprefix("wrong.yaml: ") for problem in raised.value.problems]


def test_the_shipped_scenarios_are_listed_by_name() -> None:
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
def test_gpus_of_shipped_scenarios_have_addresses_and_uuids_of_their_own(name: str) -> None:
    gpus = load_scenario(name).gpus
    uuids = [gpu.uuid for gpu in gpus] + [mig.uuid for gpu in gpus for mig in gpu.mig_devices]
    assert len(set(uuids)) == len(uuids)
    assert all(re.fullmatch(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in uuids)
    assert len({gpu.address for gpu in gpus}) == len(gpus)


def test_uuids_are_the_same_on_every_load_and_differ_between_scenarios() -> None:
    first = load_scenario("h100x8").gpus[0].uuid
    assert load_scenario("h100x8").gpus[0].uuid == first
    assert load_scenario("a100x8").gpus[0].uuid != first


def test_instances_of_one_gpu_have_ids_of_their_own() -> None:
    cut = load_scenario("h100x8-mig-mixed").gpus[7]
    assert [mig.gpu_instance for mig in cut.mig_devices] == [1, 3, 7, 8]


def test_a_path_is_loaded_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('driver: {version: "1.2"}\ngpus: [{model: Mine, count: 1, device_id: "1234"}]\n')
    scenario = load_scenario(str(path))
    assert (scenario.name, scenario.gpus[0].model, scenario.gpus[0].memory_bytes) == ("mine", "Mine", None)


def test_an_unknown_name_lists_the_names_and_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"no scenario 'h100x9' \(did you mean h100x8\?\): give one of a100x4-mig-single, "
    ):
        load_scenario("h100x9")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml: No such file"):
        load_scenario(str(tmp_path / "gone.yaml"))


def test_wrong_keys_and_types_are_told_all_at_once_with_their_paths() -> None:
    assert problems(
        {
            "diver": {},
            "driver": {"version": 550},
            "gpus": [{**GPU, "cuont": 2}, {"model": "X", "count": 0, "device_id": "20B0"}],
            "faults": [{"at": -1, "kind": "slow"}],
        }
    ) == [
        "diver: unknown key (did you mean driver?)",
        "driver.version: Expected `str`, got `int`",
        "gpus[0].cuont: unknown key (did you mean count?)",
        "gpus[1].count: Expected `int` >= 1",
        "gpus[1].device_id: Expected `str` matching regex '^[0-9a-f]{4}$'",
        "faults[0].at: Expected `float` >= 0.0",
        "faults[0].kind: Invalid enum value 'slow'",
    ]


def test_what_does_not_fit_together_is_told_all_at_once_with_its_path() -> None:
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
    ("profile", "count", "taken"),
    [
        ("2g.10gb", 4, "8 of 7 compute slices and 8 of 8 memory"),
        ("1g.10gb", 5, "5 of 7 compute slices and 10 of 8 memory"),
    ],
)
def test_a_board_has_so_many_compute_and_memory_slices(profile: str, count: int, taken: str) -> None:
    mig = {"mode": "enabled", "instances": [profile] * count}
    assert problems({"gpus": [{**GPU, "mig": mig}]}) == [f"gpus[0].mig.instances: they take {taken} slices"]
    mig["instances"] = [profile] * (count - 1)
    assert parse_scenario("right", {"gpus": [{**GPU, "mig": mig}]}, source="right.yaml").gpus[0].mig_enabled


def test_a_cut_board_holds_one_media_profile_at_most() -> None:
    mig = {"mode": "enabled", "instances": ["1g.5gb+me", "1g.5gb+me"]}
    assert problems({"gpus": [{**GPU, "mig": mig}]}) == [
        "gpus[0].mig.instances: a board can hold one profile with +me, not 2"
    ]


@pytest.mark.parametrize(
    ("model", "profile"), [(model, profile) for model, profiles in PROFILES.items() for profile in profiles]
)
def test_the_smallest_compute_instance_of_every_profile_has_its_share(model: str, profile: str) -> None:
    whole = parse_instance(model, profile).attributes
    assert whole.compute_instance_slices == whole.gpu_instance_slices
    if whole.gpu_instance_slices > 1:
        part = parse_instance(model, f"1c.{profile}").attributes
        assert (part.compute_instance_slices, part.gpu_instance_slices) == (1, whole.gpu_instance_slices)
        assert part.multiprocessors == whole.multiprocessors // whole.gpu_instance_slices


def test_gpus_have_as_many_links_to_switches_as_the_file_says() -> None:
    assert {gpu.links.switched for gpu in load_scenario("a100x8").gpus} == {12}
    assert {gpu.links.switched for gpu in load_scenario("h100x8").gpus} == {18}
    assert problems({"gpus": [GPU], "nvlink": {"switch_links": 4}}) == ["nvlink.switch_links: needs nvswitch: true"]


CUT = {**GPU, "mig": {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}}


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "xid", "gpu": 0}, "code: is missing, kind xid needs it"),
        ({"kind": "xid", "gpu": 0, "code": 0}, "code: Expected `int` >= 1"),
        ({"kind": "xid", "gpu": 0, "code": 94, "mig": 0}, "mig: GPU 0 has no MIG device in slot 0, it is not cut"),
        (
            {"kind": "xid", "gpu": 2, "code": 94, "mig": 2},
            "mig: GPU 2 has no MIG device in slot 2, the last one is 1",
        ),
        ({"kind": "xid", "gpu": 0, "code": 13, "per_second": 5}, "per_second: needs times"),
        ({"kind": "xid", "gpu": 0, "code": 13, "times": 0}, "times: Expected `int` >= 1"),
        ({"kind": "xid", "gpu": 0, "code": 13, "times": 2_000_000}, "times: Expected `int` <= 1000000"),
        ({"kind": "xid", "gpu": 0, "code": 13, "count": 5}, "count: means nothing with kind xid"),
        ({"kind": "ecc", "gpu": 0}, "count: is missing, kind ecc needs it"),
        ({"kind": "memory", "gpu": 0, "state": "broken"}, "state: Invalid enum value 'broken'"),
        (
            {"kind": "memory", "gpu": 0, "state": "in-progress"},
            "state: kind memory has no state in-progress; there are remap-pending, remap-failed, retirement-pending",
        ),
        (
            {"kind": "fabric", "state": "remap-failed"},
            "state: kind fabric has no state remap-failed; there are not-started, in-progress, degraded-bandwidth, route-unhealthy",
        ),
        ({"kind": "nvlink", "gpu": 0, "count": 1}, "count: GPU 0 has 0 NVLinks"),
        ({"kind": "recovery", "gpu": 0, "action": "pray"}, "action: Invalid enum value 'pray'"),
        ({"kind": "recovery", "action": "reset"}, "gpu: is missing, kind recovery needs it"),
        ({"kind": "throttle", "gpu": 9, "brake": "power"}, "gpu: there is no GPU 9, the last one is 2"),
        ({"kind": "mig", "gpu": 0, "instances": []}, "gpu: GPU 0 needs mig: {mode: enabled} to be cut"),
        ({"kind": "mig", "gpu": 2}, "instances: is missing, kind mig needs it"),
        (
            {"kind": "mig", "gpu": 2, "instances": ["7g.40gb", "1g.5gb"]},
            "instances: they take 8 of 7 compute slices and 9 of 8 memory slices",
        ),
        ({"kind": "lost", "gpu": 0, "mig": 0}, "mig: means nothing with kind lost"),
        ({"kind": "fails", "call": "nvmlInit_v2"}, "answer: is missing, kind fails needs it"),
        (
            {"kind": "fails", "call": "nvmlInit_v2", "answer": "UNKNOWN", "gpu": 0},
            "gpu: nvmlInit_v2 is not asked of a GPU",
        ),
        (
            {"kind": "fails", "call": "nvmlEventSetWait_v2", "answer": "UNKNOWN", "gpu": 0},
            "gpu: nvmlEventSetWait_v2 is not asked of a GPU",
        ),
        ({"kind": "fails", "call": "nvmlDeviceGetName", "answer": "BAD"}, "answer: Invalid enum value 'BAD'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_fault_that_does_not_fit_is_told_with_its_path(fault: dict[str, object], problem: str) -> None:
    whole = {**GPU, "count": 2}
    cut = {**CUT, "count": 1}
    assert problems({"gpus": [whole, cut], "faults": [{"at": 0, **fault}]}) == [f"faults[0].{problem}"]


def test_a_gpu_whose_mig_is_off_cannot_be_cut() -> None:
    off = {**GPU, "count": 1, "mig": {"mode": "disabled"}}
    found = problems({"gpus": [off], "faults": [{"at": 0, "kind": "mig", "gpu": 0, "instances": ["1g.5gb"]}]})
    assert found == ["faults[0].gpu: GPU 0 needs mig: {mode: enabled} to be cut"]


def test_groups_of_pcie_name_gpus_that_are_there_each_once() -> None:
    gpus = [{**GPU, "count": 2}, {"model": "Orin (nvgpu)", "count": 1, "pci": "none"}]
    found = problems({"gpus": gpus, "pcie": {"switch": [[0, 1], [1, 9]], "board": [[0, 2]], "root": []}})
    assert found == ["pcie.root: unknown key"]
    assert problems({"gpus": gpus, "pcie": {"switch": [[0, 1], [1, 9]], "board": [[0, 2]]}}) == [
        "pcie.board: GPU 2 is on no PCI bus",
        "pcie.switch: GPU 1 is there twice",
        "pcie.switch: there is no GPU 9, the last one is 2",
    ]


def test_a_gpu_on_no_pci_bus_has_nothing_that_only_pci_can_say() -> None:
    assert problems({"gpus": [{**GPU, "pci": "nowhere"}]}) == ["gpus[0].pci: Invalid enum value 'nowhere'"]
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
        "gpus[0].device_id: means nothing with pci: none",
        "gpus[0].numa: means nothing with pci: none",
        "gpus[1].device_id: is missing",
        "nvlink.peers[1].gpus: there is no GPU 2, the last one is 1",
        "nvlink.peers[0].gpus: GPU 0 is on no PCI bus, where no NVLink leads",
    ]


@pytest.mark.parametrize("name", ["jetson-orin", "wsl"])
def test_gpus_that_linux_does_not_see_on_pci_are_no_simulated_functions(name: str) -> None:
    assert pci_attributes(load_scenario(name)) == ()
    assert load_scenario(name).on_pci == {}


def test_simulated_functions_have_the_form_of_nfds_pci_source() -> None:
    assert pci_attributes(load_scenario("none")) == ()
    assert pci_attributes(load_scenario("t4x1")) == (
        {"class": "0302", "vendor": "10de", "device": "1eb8", "subsystem_vendor": "10de", "subsystem_device": "12a2"},
    )
