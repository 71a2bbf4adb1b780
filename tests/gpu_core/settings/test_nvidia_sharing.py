"""The section sharing of NVIDIA's config file."""

from pathlib import Path

import pytest

from gpu_core.domain.selection import AllDevices, DeviceCount
from gpu_core.domain.sharing import SharingStrategy
from tests.gpu_core.settings.config_text import MINIMAL, load, only, problems


def test_by_default_all_devices_are_shared_under_the_same_name(tmp_path: Path) -> None:
    sharing = load(tmp_path, MINIMAL)
    assert sharing is not None
    assert (sharing.strategy, sharing.fail_requests_greater_than_one) == (SharingStrategy.TIME_SLICING, False)
    shared = only(sharing)
    assert (shared.resource, shared.advertised, shared.replicas) == ("nvidia.com/gpu", "nvidia.com/gpu", 4)
    assert shared.devices == AllDevices()
    assert not shared.is_renamed


@pytest.mark.parametrize("text", ["", "version: v1", "sharing: {}", MINIMAL.replace("4", "1")])
def test_one_replica_shares_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text, "gfd", "plugin") is None


@pytest.mark.parametrize(
    ("strategy", "option", "expected"),
    [
        ("timeSlicing", "", False),
        ("timeSlicing", "failRequestsGreaterThanOne: true, ", True),
        ("mps", "", True),
        ("mps", "failRequestsGreaterThanOne: false, ", False),
    ],
)
def test_requests_for_several_replicas_fail_by_default_only_with_mps(
    tmp_path: Path, strategy: str, option: str, expected: bool
) -> None:
    sharing = load(tmp_path, f"sharing: {{{strategy}: {{{option}resources: [{{name: gpu, replicas: 2}}]}}}}")
    assert sharing is not None
    assert sharing.fail_requests_greater_than_one is expected
    assert sharing.strategy.value == ("mps" if strategy == "mps" else "time-slicing")


def test_a_resource_may_be_renamed_and_shared_in_part(tmp_path: Path) -> None:
    by_default = MINIMAL.replace("{resources", "{renameByDefault: true, resources")
    assert only(load(tmp_path, by_default)).advertised == "nvidia.com/gpu.shared"
    by_hand = by_default.replace("replicas", "rename: slice, devices: 2, replicas")
    shared = only(load(tmp_path, by_hand))
    assert (shared.advertised, shared.devices) == ("nvidia.com/slice", DeviceCount(count=2))


def test_renaming_a_resource_to_its_own_name_has_no_effect(tmp_path: Path) -> None:
    shared = only(load(tmp_path, MINIMAL.replace("replicas", "rename: gpu, replicas")))
    assert not shared.is_renamed


def test_time_slicing_with_one_replica_is_not_sharing(tmp_path: Path) -> None:
    one = "timeSlicing: {resources: [{name: gpu, replicas: 1}]}"
    assert load(tmp_path, f"sharing: {{{one}}}") is None
    sharing = load(tmp_path, f"sharing: {{{one}, mps: {{resources: [{{name: gpu, replicas: 2}}]}}}}")
    assert sharing is not None
    assert sharing.strategy is SharingStrategy.MPS


def test_mps_with_one_replica_is_sharing(tmp_path: Path) -> None:
    shared = only(load(tmp_path, "sharing: {mps: {resources: [{name: gpu, replicas: 1}]}}"))
    assert shared.replicas == 1


@pytest.mark.parametrize("replicas", [1, 2])
def test_two_sharing_strategies_are_an_error(tmp_path: Path, replicas: int) -> None:
    mps = f"{{mps: {{resources: [{{name: gpu, replicas: {replicas}}}]}}, timeSlicing"
    text = MINIMAL.replace("{timeSlicing", mps)
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("sharing.timeSlicing and sharing.mps: both share GPUs")


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("{renameByDefault: true}", ".resources: is missing", id="no resources"),
        pytest.param("{resources: []}", ".resources: is empty", id="empty resources"),
        pytest.param("{resources: [{replicas: 2}]}", ".resources[0].name: is missing", id="no name"),
        pytest.param("{resources: [{name: '', replicas: 2}]}", ".resources[0].name: the resource name", id="no letter"),
        pytest.param("{resources: [{name: Gpu, replicas: 2}]}", ".resources[0].name: the resource name", id="capital"),
        pytest.param("{resources: [{name: gpu}]}", ".resources[0].replicas: is missing", id="no replicas"),
        pytest.param("{resources: [{name: gpu, replicas: 0}]}", ".resources[0].replicas: must be", id="0"),
        pytest.param("{resources: [{name: gpu, replicas: -3}]}", ".resources[0].replicas: must be", id="negative"),
        pytest.param("{resources: [{name: gpu, replicas: '2'}]}", ".resources[0].replicas: must be", id="text"),
        pytest.param("{resources: [{name: gpu, replicas: true}]}", ".resources[0].replicas: must be", id="yes"),
        pytest.param("{resources: [{name: gpu, replicas: 2.5}]}", ".resources[0].replicas: must be", id="fraction"),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: some}]}", ".resources[0].devices: 'some'", id="devices"
        ),
        pytest.param("{resources: [{name: gpu, replicas: 2, devices: 0}]}", ".resources[0].devices: 0", id="none"),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: [0.5]}]}", ".resources[0].devices: 0.5", id="no device"
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, rename: A B}]}", ".resources[0].rename: the resource", id="rename"
        ),
        pytest.param(
            f"{{renameByDefault: true, resources: [{{name: {'x' * 50}, replicas: 2}}]}}",
            ".resources[0].name: the resource name",
            id="too long when renamed",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2}, {name: nvidia.com/gpu, replicas: 3}]}",
            ".resources[1].name: another entry has the name nvidia.com/gpu. Entries with the same name need lists of different devices.",
            id="twice",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, rename: a}, {name: mig-1g.5gb, replicas: 2, rename: a}]}",
            ".resources[1]: another shared resource has the name nvidia.com/a",
            id="one name for two",
        ),
        pytest.param(
            "{renameByDefault: true, resources: [{name: gpu, replicas: 2}, {name: a, rename: gpu.shared, replicas: 2}]}",
            ".resources[1]: another shared resource has the name nvidia.com/gpu.shared",
            id="the default name of another",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: [0, 1]}, {name: gpu, replicas: 3, devices: all}]}",
            ".resources[1].name: another entry has the name nvidia.com/gpu",
            id="twice, with a list once",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: [0, '1:2']}, {name: gpu, replicas: 3, devices: [2, 1]}]}",
            ".resources[1].devices: another entry for nvidia.com/gpu already shares 1",
            id="twice, with lists that overlap",
        ),
        pytest.param(
            "{renamebydefault: true, resources: [{name: gpu, replicas: 2}]}",
            ".renamebydefault: unknown key (did you mean renameByDefault?)",
            id="case",
        ),
        pytest.param("{resources: [{name: gpu, replica: 2, replicas: 2}]}", ".resources[0].replica: unknown", id="key"),
    ],
)
def test_every_problem_has_its_path(tmp_path: Path, strategy: str, content: str, problem: str) -> None:
    (found,) = problems(tmp_path, f"sharing:\n  {strategy}: {content}\n")
    assert found.startswith(f"sharing.{strategy}{problem}")


def test_one_resource_can_have_several_entries_with_different_devices(tmp_path: Path) -> None:
    entries = "{name: gpu, replicas: 2, devices: [0]}, {name: gpu, replicas: 4, devices: [1, '2:0'], rename: slices}"
    sharing = load(tmp_path, f"sharing: {{timeSlicing: {{resources: [{entries}]}}}}")
    assert sharing is not None
    assert [(each.replicas, each.advertised) for each in sharing.resources] == [
        (2, "nvidia.com/gpu"),
        (4, "nvidia.com/slices"),
    ]
