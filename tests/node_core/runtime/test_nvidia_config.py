"""The sharing section of NVIDIA's config file: what is taken, and every problem with its path."""

from pathlib import Path

import pytest

from node_core.domain.sharing import AllDevices, DeviceCount, SharedResource, Sharing, SharingStrategy
from node_core.errors import SettingsError
from node_core.runtime.nvidia_config import Section, load_nvidia_config, plan_sharing

MINIMAL = "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}"


def load(tmp_path: Path, text: str, *sections: Section) -> Sharing | None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    config, _ = load_nvidia_config(path, sections or ("gfd",))
    return plan_sharing(config.sharing)


def problems(tmp_path: Path, text: str, *sections: Section) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, *sections)
    return [problem.removeprefix(f"{tmp_path}/config.yaml: ") for problem in caught.value.problems]


def only(sharing: Sharing | None) -> SharedResource:
    assert sharing is not None
    (shared,) = sharing.resources
    return shared


def test_a_resource_is_shared_with_all_its_devices_and_keeps_its_name(tmp_path: Path) -> None:
    sharing = load(tmp_path, MINIMAL)
    assert sharing is not None
    assert (sharing.strategy, sharing.fail_requests_greater_than_one) == (SharingStrategy.TIME_SLICING, False)
    shared = only(sharing)
    assert (shared.resource, shared.advertised, shared.replicas) == ("nvidia.com/gpu", "nvidia.com/gpu", 4)
    assert shared.devices == AllDevices()
    assert not shared.renamed


@pytest.mark.parametrize("text", ["", "version: v1", "sharing: {}", MINIMAL.replace("4", "1")])
def test_without_a_second_replica_nothing_is_shared(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text, "gfd", "plugin") is None


@pytest.mark.parametrize(
    ("way", "said", "expected"),
    [
        ("timeSlicing", "", False),
        ("timeSlicing", "failRequestsGreaterThanOne: true, ", True),
        ("mps", "", True),
        ("mps", "failRequestsGreaterThanOne: false, ", False),
    ],
)
def test_requests_for_several_replicas_fail_by_default_with_mps_only(
    tmp_path: Path, way: str, said: str, expected: bool
) -> None:
    sharing = load(tmp_path, f"sharing: {{{way}: {{{said}resources: [{{name: gpu, replicas: 2}}]}}}}")
    assert sharing is not None
    assert sharing.fail_requests_greater_than_one is expected
    assert sharing.strategy.value == ("mps" if way == "mps" else "time-slicing")


def test_a_resource_may_be_renamed_and_shared_in_part(tmp_path: Path) -> None:
    by_default = MINIMAL.replace("{resources", "{renameByDefault: true, resources")
    assert only(load(tmp_path, by_default)).advertised == "nvidia.com/gpu.shared"
    by_hand = by_default.replace("replicas", "rename: slice, devices: 2, replicas")
    shared = only(load(tmp_path, by_hand))
    assert (shared.advertised, shared.devices) == ("nvidia.com/slice", DeviceCount(count=2))


def test_a_resource_that_is_renamed_to_its_own_name_is_not_renamed(tmp_path: Path) -> None:
    shared = only(load(tmp_path, MINIMAL.replace("replicas", "rename: gpu, replicas")))
    assert not shared.renamed


def test_a_way_of_sharing_that_shares_nothing_is_no_conflict(tmp_path: Path) -> None:
    idle = "mps: {resources: [{name: gpu, replicas: 1}]}"
    sharing = load(tmp_path, MINIMAL.replace("{timeSlicing", f"{{{idle}, timeSlicing"))
    assert sharing is not None
    assert sharing.strategy is SharingStrategy.TIME_SLICING


def test_sharing_in_two_ways_is_an_error(tmp_path: Path) -> None:
    text = MINIMAL.replace("{timeSlicing", "{mps: {resources: [{name: gpu, replicas: 2}]}, timeSlicing")
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("sharing.timeSlicing and sharing.mps: both share GPUs")


@pytest.mark.parametrize("way", ["timeSlicing", "mps"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", ": expected a mapping, got NoneType", id="nothing"),
        pytest.param("{}", ".resources: is missing", id="no resources"),
        pytest.param("{resources: []}", ".resources: is empty", id="empty resources"),
        pytest.param("{resources: [{replicas: 2}]}", ".resources[0].name: is missing", id="no name"),
        pytest.param("{resources: [{name: '', replicas: 2}]}", ".resources[0].name: the resource name", id="no letter"),
        pytest.param("{resources: [{name: Gpu, replicas: 2}]}", ".resources[0].name: the resource name", id="capital"),
        pytest.param("{resources: [{name: gpu}]}", ".resources[0].replicas: is missing", id="no replicas"),
        pytest.param("{resources: [{name: gpu, replicas: 0}]}", ".resources[0].replicas: Expected `int` >= 1", id="0"),
        pytest.param("{resources: [{name: gpu, replicas: -3}]}", ".resources[0].replicas: Expected", id="negative"),
        pytest.param("{resources: [{name: gpu, replicas: '2'}]}", ".resources[0].replicas: Expected", id="text"),
        pytest.param("{resources: [{name: gpu, replicas: true}]}", ".resources[0].replicas: Expected", id="yes"),
        pytest.param("{resources: [{name: gpu, replicas: 2.5}]}", ".resources[0].replicas: Expected", id="fraction"),
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
            ".resources: nvidia.com/gpu is there more than once",
            id="twice",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, rename: a}, {name: mig-1g.5gb, replicas: 2, rename: a}]}",
            ".resources: nvidia.com/a is there more than once",
            id="one name for two",
        ),
        pytest.param(
            "{renameByDefault: true, resources: [{name: gpu, replicas: 2}, {name: a, rename: gpu.shared, replicas: 2}]}",
            ".resources: nvidia.com/gpu.shared is there more than once",
            id="the default name of another",
        ),
        pytest.param(
            "{renamebydefault: true, resources: [{name: gpu, replicas: 2}]}",
            ".renamebydefault: unknown key (did you mean renameByDefault?)",
            id="case",
        ),
        pytest.param("{resources: [{name: gpu, replica: 2, replicas: 2}]}", ".resources[0].replica: unknown", id="key"),
    ],
)
def test_every_rule_that_is_broken_is_said_with_its_path(tmp_path: Path, way: str, content: str, problem: str) -> None:
    (found,) = problems(tmp_path, f"sharing:\n  {way}: {content}\n")
    assert found.startswith(f"sharing.{way}{problem}")


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    entries = "[{name: A, replicas: 2}, {name: gpu, replicas: 2, devices: []}]"
    found = problems(tmp_path, f"sharing: {{timeSlicing: {{resources: {entries}}}, mps: {{resources: []}}}}")
    assert len(found) == 3


@pytest.mark.parametrize(
    "key", ["resource: {}", "flags: {plugin: {passDeviceSpec: false}}", "sharing: {timeslicing: {}}"]
)
def test_what_would_do_nothing_is_unknown(tmp_path: Path, key: str) -> None:
    (found,) = problems(tmp_path, key)
    assert "unknown key" in found


@pytest.mark.parametrize("sections", [("plugin",), ("gfd", "plugin")], ids=["gpu-device-plugin", "gpunode run"])
def test_the_device_plugin_refuses_to_share(tmp_path: Path, sections: tuple[Section, ...]) -> None:
    (found,) = problems(tmp_path, MINIMAL, *sections)
    assert found.startswith("sharing: gpu-device-plugin cannot share GPUs yet")
