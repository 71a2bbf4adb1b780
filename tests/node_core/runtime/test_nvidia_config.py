"""The sharing section of NVIDIA's config file: what is taken, and every problem with its path."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node_core.decode import read_yaml
from node_core.domain.device_rules import DeviceRules
from node_core.domain.selection import AllDevices, DeviceCount
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.errors import SettingsError
from node_core.runtime.nvidia_config import Section, decode_nvidia_config, plan_sharing
from node_core.runtime.nvidia_devices import plan_rules

MINIMAL = "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}"


def load(tmp_path: Path, text: str, *sections: Section) -> Sharing | None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    config, _ = decode_nvidia_config(read_yaml(path), sections or ("gfd",), source=str(path))
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
            ".resources[1].name: nvidia.com/gpu is there more than once: then each entry needs a list of its own devices",
            id="twice",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, rename: a}, {name: mig-1g.5gb, replicas: 2, rename: a}]}",
            ".resources[1]: nvidia.com/a is the name of another shared resource already",
            id="one name for two",
        ),
        pytest.param(
            "{renameByDefault: true, resources: [{name: gpu, replicas: 2}, {name: a, rename: gpu.shared, replicas: 2}]}",
            ".resources[1]: nvidia.com/gpu.shared is the name of another shared resource already",
            id="the default name of another",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: [0, 1]}, {name: gpu, replicas: 3, devices: all}]}",
            ".resources[1].name: nvidia.com/gpu is there more than once",
            id="twice, with a list once",
        ),
        pytest.param(
            "{resources: [{name: gpu, replicas: 2, devices: [0, '1:2']}, {name: gpu, replicas: 3, devices: [2, 1]}]}",
            ".resources[1].devices: 1 is shared by another entry for nvidia.com/gpu already",
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


@pytest.mark.parametrize("sections", [("gfd",), ("plugin",), ("gfd", "plugin")])
def test_all_agents_take_the_same_file(tmp_path: Path, sections: tuple[Section, ...]) -> None:
    assert only(load(tmp_path, MINIMAL, *sections)).replicas == 4


def test_one_resource_may_be_shared_in_several_ways_with_devices_of_their_own(tmp_path: Path) -> None:
    entries = "{name: gpu, replicas: 2, devices: [0]}, {name: gpu, replicas: 4, devices: [1, '2:0'], rename: slices}"
    sharing = load(tmp_path, f"sharing: {{timeSlicing: {{resources: [{entries}]}}}}")
    assert sharing is not None
    assert [(each.replicas, each.advertised) for each in sharing.resources] == [
        (2, "nvidia.com/gpu"),
        (4, "nvidia.com/slices"),
    ]


RULES = """
resources:
  gpus: [{pattern: "*A40*", name: a40}]
  mig: [{pattern: 1g.10gb, name: nvidia.com/small}]
devices: {include: [0, 1, "2:0"], exclude: [product=*T4]}
reserved: [{devices: ["17:00.0"], why: broken fan}]
pools: [{name: team-a, devices: [profile=1g*, 1]}]
"""


def rules(tmp_path: Path, text: str) -> DeviceRules:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return plan_rules(decode_nvidia_config(read_yaml(path), ("plugin",), source=str(path))[0].device_sections)


def test_devices_are_named_kept_back_and_pooled(tmp_path: Path) -> None:
    found = rules(tmp_path, RULES)
    assert (found.names.of_gpu("NVIDIA A40"), found.names.of_gpu("Tesla T4")) == ("nvidia.com/a40", "nvidia.com/gpu")
    assert (found.names.of_mig("1g.10gb"), found.names.of_mig("3g.40gb")) == ("nvidia.com/small", None)
    assert [str(ref) for ref in found.include or ()] == ["0", "1", "2:0"]
    assert [str(ref) for ref in found.exclude] == ["product=*T4"]
    ((reserved,), (pool,)) = found.reserved, found.pools
    assert ([str(ref) for ref in reserved.devices], reserved.why) == (["0000:17:00.0"], "broken fan")
    assert (pool.resource, [str(ref) for ref in pool.devices]) == ("nvidia.com/team-a", ["profile=1g*", "1"])
    assert rules(tmp_path, "version: v1") == DeviceRules()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("devices: {include: []}", "devices.include: an empty list means no device"),
        ("devices: {exclude: [GPU-1]}", "devices.exclude: 'GPU-1' is no GPU index"),
        ("devices: {includes: [0]}", "devices.includes: unknown key (did you mean include?)"),
        ("devices: [0]", "devices: expected a mapping, got list"),
        ("reserved: [{devices: [0]}]", "reserved[0].why: is missing"),
        ("reserved: [{devices: [0], why: ' '}]", "reserved[0].why: is empty"),
        ("reserved: [{devices: [], why: x}]", "reserved[0].devices: an empty list"),
        ("reserved: [{devices: [0, '0'], why: x}]", "reserved[0].devices: '0' is there twice"),
        ("pools: [{devices: [0]}]", "pools[0].name: is missing"),
        ("pools: [{name: A, devices: [0]}]", "pools[0].name: the resource name"),
        ("pools: [{name: gpu, devices: [0]}]", "pools[0].name: nvidia.com/gpu is the name of what is in no pool"),
        ("pools: [{name: mig-x, devices: [0]}]", "pools[0].name: nvidia.com/mig-x is the name of what is in no pool"),
        (
            "{resources: {gpus: [{pattern: '*', name: a}]}, pools: [{name: a, devices: [0]}]}",
            "pools[0].name: nvidia.com/a is the name of what is in no pool",
        ),
        (
            "pools: [{name: a, devices: [0]}, {name: nvidia.com/a, devices: [1]}]",
            "pools[1].name: nvidia.com/a is there",
        ),
        ("pools: [{name: a, devices: [0]}, {name: b, devices: ['0:1']}]", "pools[1].devices: 0:1 is in pool a already"),
        ("resources: {gpus: [{pattern: '*', name: 'A'}]}", "resources.gpus[0].name: the resource name"),
        ("resources: {mig: [{name: a}]}", "resources.mig[0].pattern: is missing"),
        ("resources: {gpu: []}", "resources.gpu: unknown key (did you mean gpus?)"),
        ("imex: {channelIDs: [1]}", "imex.channelIDs: Invalid enum value 1"),
        ("imex: {channels: [0]}", "imex.channels: unknown key"),
        (
            f"{{pools: [{{name: gpu.shared, devices: [0]}}], {MINIMAL.replace('{resources', '{renameByDefault: true, resources')}}}",
            "sharing: nvidia.com/gpu is advertised as nvidia.com/gpu.shared, which is the name of a pool",
        ),
    ],
)
def test_every_rule_for_devices_that_is_broken_is_said_with_its_path(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text, "plugin")
    assert found.startswith(problem)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["gpu", "0:1"])
)
KEYS = st.sampled_from([
    "name", "devices", "pattern", "replicas", "rename", "resources", "why", "gpus", "mig", "include", "exclude", "mps",
    "timeSlicing", "renameByDefault",
])  # fmt: skip
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
SECTIONS = st.sampled_from(["resources", "devices", "reserved", "pools", "sharing", "imex", "flags", "version"])


@settings(max_examples=300)
@given(st.dictionaries(SECTIONS, GARBAGE, max_size=4))
def test_garbage_is_refused_or_means_something(data: dict[str, object]) -> None:
    try:
        config, _ = decode_nvidia_config(data, ("gfd", "plugin"), source="garbage")
    except SettingsError as error:
        assert all(problem.startswith("garbage: ") for problem in error.problems)  # noqa: PT017 - either is right
        return
    plan_rules(config.device_sections)
    plan_sharing(config.sharing)


def test_what_the_file_says_reaches_the_options_of_the_agents_that_have_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "flags: {migStrategy: mixed, mpsRoot: '', gdsEnabled: true, nvidiaDriverRoot: /x,"
        " plugin: {containerDriverRoot: /d, deviceListStrategy: envvar}, gfd: {oneshot: true}}\n"
        "imex: {channelIDs: [0], required: false}\n"
    )
    both = {"mig_strategy": "mixed", "driver_root": "/d"}
    plugin = {
        "gds_enabled": True, "nvidia_driver_root": "/x", "device_list_strategy": ["envvar"], "imex_channel_ids": [0],
        "imex_required": False,
    }  # fmt: skip
    assert decode_nvidia_config(read_yaml(path), ("gfd",), source=str(path))[1] == both | {"oneshot": True}
    assert decode_nvidia_config(read_yaml(path), ("plugin",), source=str(path))[1] == both | plugin
    assert decode_nvidia_config(read_yaml(path), ("gfd", "plugin"), source=str(path))[1] == both | plugin | {
        "oneshot": True
    }


def test_a_shared_resource_cannot_take_the_name_that_other_devices_have(tmp_path: Path) -> None:
    text = """
resources: {gpus: [{pattern: "*A40*", name: a40}]}
sharing: {timeSlicing: {resources: [{name: gpu, replicas: 2, rename: a40}]}}
"""
    (problem,) = problems(tmp_path, text)
    assert problem.endswith("advertised as nvidia.com/a40, which is the name that resources gives other devices")
