"""Decoding NVIDIA's config file: the section health, settings of the agents, and all problems together."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.xid import XidClass, XidPolicy
from gpu_core.settings.nvidia_config import NvidiaConfig, Section, decode_nvidia_config
from node_core.decode import read_yaml
from node_core.errors import SettingsError
from tests.exhaustive import many
from tests.gpu_core.settings.config_text import MINIMAL, load, only, problems


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    entries = "[{name: A, replicas: 2}, {name: gpu, replicas: 2, devices: []}]"
    found = problems(tmp_path, f"sharing: {{timeSlicing: {{resources: {entries}}}, mps: {{resources: []}}}}")
    assert len(found) == 3


@pytest.mark.parametrize(
    "key", ["resource: {}", "flags: {plugin: {passDeviceSpec: false}}", "sharing: {timeslicing: {}}"]
)
def test_an_unknown_key_is_an_error(tmp_path: Path, key: str) -> None:
    (found,) = problems(tmp_path, key)
    assert "unknown key" in found


@pytest.mark.parametrize("sections", [("gfd",), ("plugin",), ("gfd", "plugin")])
def test_all_agents_accept_the_same_file(tmp_path: Path, sections: tuple[Section, ...]) -> None:
    assert only(load(tmp_path, MINIMAL, *sections)).replicas == 4


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


@many(300)
@given(st.dictionaries(SECTIONS, GARBAGE, max_size=4))
def test_any_data_is_decoded_or_refused(data: dict[str, object]) -> None:
    try:
        decode_nvidia_config(data, ("gfd", "plugin"), source="garbage")
    except SettingsError as error:
        assert all(problem.startswith("garbage: ") for problem in error.problems)  # noqa: PT017 - either is right


def test_values_of_the_file_become_settings_of_the_agents_that_use_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "flags: {migStrategy: mixed, mpsRoot: '', gdsEnabled: true, nvidiaDriverRoot: /x,"
        " plugin: {containerDriverRoot: /d, deviceListStrategy: envvar}, gfd: {oneshot: true}}\n"
        "imex: {channelIDs: [0], required: false}\n"
    )
    both = {"mig_strategy": "mixed", "driver_root_ctr_path": "/d"}
    plugin = {
        "gds_enabled": True, "driver_root": "/x", "device_list_strategy": ["envvar"], "imex_channel_ids": [0],
        "imex_required": False,
    }  # fmt: skip
    assert decode_nvidia_config(read_yaml(path), ("gfd",), source=str(path))[1] == both | {"oneshot": True}
    assert decode_nvidia_config(read_yaml(path), ("plugin",), source=str(path))[1] == both | plugin
    assert decode_nvidia_config(read_yaml(path), ("gfd", "plugin"), source=str(path))[1] == both | plugin | {
        "oneshot": True
    }


def test_a_shared_resource_cannot_have_the_name_of_other_devices(tmp_path: Path) -> None:
    text = """
resources: {gpus: [{pattern: "*A40*", name: a40}]}
sharing: {timeSlicing: {resources: [{name: gpu, replicas: 2, rename: a40}]}}
"""
    (problem,) = problems(tmp_path, text)
    assert problem.endswith("advertised as nvidia.com/a40, which is the name of other devices in resources")


def health(**section: object) -> NvidiaConfig:
    config, _, _ = decode_nvidia_config({"version": "v1", "health": section}, ["plugin"], source="file")
    return config


def test_the_file_overrides_the_class_of_xids() -> None:
    policy = health(xids={94: "ignore", 31: "reset"}).health_policy(XidPolicy(), polled=True)
    assert [policy.xids.classify(number) for number in (94, 31, 48)] == [
        XidClass.IGNORE, XidClass.RESET, XidClass.RESET,
    ]  # fmt: skip


def test_xid_keys_may_be_text() -> None:
    assert health(xids={"79": "reset"}) == health(xids={79: "reset"})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("2m", 120.0), (5, 5.0), (None, 60.0)])
def test_the_hold_down_is_a_duration_or_seconds(text: object, seconds: float) -> None:
    assert health(holdDown=text).health_policy(XidPolicy(), polled=True).hold_down == seconds


def test_environment_and_file_are_combined() -> None:
    environment = XidPolicy(disabled={48}, enabled={94})
    policy = health(xids={94: "ignore"}).health_policy(environment, polled=False)
    assert (policy.xids.classify(48), policy.xids.classify(94), policy.polled) == (
        XidClass.IGNORE,
        XidClass.DEVICE,
        False,
    )


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"xids": {94: "ignored"}}, "health.xids"),
        ({"xids": {0: "ignore"}}, "health.xids"),
        ({"xids": {"all": "ignore"}}, "health.xids"),
        ({"xids": [94]}, "health.xids"),
        ({"holdDown": "infinite"}, "health.holdDown: infinite would prevent the return of GPUs"),
        ({"holdDown": "0s"}, "health.holdDown: 0s is less than one second"),
        ({"holdDown": 60_000_000_000}, "health.holdDown: 60000000000 is more than a year"),
        ({"holddown": "60s"}, "did you mean holdDown?"),
    ],
)
def test_a_problem_of_health_has_its_path(section: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        health(**section)
    assert problem in str(error.value)


WHOLE_CONFIG: dict[str, Any] = {
    "version": "v1",
    "flags": {
        "migStrategy": "none",
        "failOnInitError": True,
        "mpsRoot": "/run/nvidia/mps",
        "nvidiaDriverRoot": "/",
        "nvidiaDevRoot": "/",
        "gdrcopyEnabled": False,
        "gdsEnabled": False,
        "mofedEnabled": False,
        "useNodeFeatureAPI": False,
        "deviceDiscoveryStrategy": "auto",
        "plugin": {
            "passDeviceSpecs": False,
            "deviceListStrategy": ["envvar"],
            "deviceIDStrategy": "uuid",
            "cdiAnnotationPrefix": "cdi.k8s.io/",
            "nvidiaCTKPath": "/usr/bin/nvidia-ctk",
            "containerDriverRoot": "/driver-root",
            "sharedDevicesAllocationPolicy": "distributed",
        },
        "gfd": {
            "oneshot": False,
            "noTimestamp": False,
            "sleepInterval": "1m0s",
            "outputFile": "/etc/kubernetes/node-feature-discovery/features.d/gfd",
            "machineTypeFile": "/sys/class/dmi/id/product_name",
        },
    },
    "resources": {
        "gpus": [{"pattern": "*", "name": "nvidia.com/gpu"}],
        "mig": [{"pattern": "*", "name": "nvidia.com/gpu"}],
    },
    "sharing": {
        "timeSlicing": {
            "renameByDefault": False,
            "failRequestsGreaterThanOne": False,
            "resources": [{"name": "nvidia.com/gpu", "rename": "nvidia.com/gpu.shared", "devices": "all", "replicas": 4}],
        },
        "mps": {},
    },
    "imex": {"channelIDs": [], "required": False},
}  # fmt: skip
"""Every key of NVIDIA's format, with the values that NVIDIA's programs print when they start."""


def paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Returns the path of each key, without the keys of lists."""
    below = (
        [each for key, inner in value.items() for each in paths(inner, (*path, key))] if isinstance(value, dict) else []
    )
    return [path, *below] if path else below


def without(data: Any, path: tuple[str, ...], put: dict[str, Any]) -> Any:
    """Returns the data with other content in place of one key."""
    if len(path) == 1:
        return {**{key: value for key, value in data.items() if key != path[0]}, **put}
    return {**data, path[0]: without(data[path[0]], path[1:], put)}


@pytest.mark.parametrize("path", paths(WHOLE_CONFIG), ids=".".join)
@pytest.mark.parametrize("section", ["gfd", "plugin"])
def test_null_is_the_same_as_an_absent_key_everywhere(path: tuple[str, ...], section: Section) -> None:
    if path[-1] == "resources" and len(path) > 1:
        return  # a sharing strategy needs resources
    absent = decode_nvidia_config(without(WHOLE_CONFIG, path, {}), (section,), source="f")
    assert decode_nvidia_config(without(WHOLE_CONFIG, path, {path[-1]: None}), (section,), source="f") == absent


@pytest.mark.parametrize("path", paths(WHOLE_CONFIG), ids=".".join)
def test_the_error_for_a_key_outside_its_section_contains_the_section(tmp_path: Path, path: tuple[str, ...]) -> None:
    if path[-1] in ("resources", "devices"):
        return  # keys of several sections
    wrong = {path[-1]: WHOLE_CONFIG} if len(path) > 1 else {"flags": {path[-1]: WHOLE_CONFIG}}
    (problem,) = problems(tmp_path, json.dumps(wrong))
    where = f"`{'.'.join(path[:-1])}`" if len(path) > 1 else "the top level of the file"
    assert ": unknown key. It belongs in " in problem
    assert where in problem


def test_a_config_as_nvidia_prints_it_is_accepted() -> None:
    printed = {**WHOLE_CONFIG, "sharing": {"timeSlicing": {}}, "imex": {}, "version": ""}
    config, _, notes = decode_nvidia_config(printed, ("gfd", "plugin"), source="f")
    assert (config.sharing, notes) == (None, ())


def test_the_error_for_settings_of_sharing_below_flags_contains_their_section(tmp_path: Path) -> None:
    found = problems(tmp_path, "flags: {renameByDefault: true, failRequestsGreaterThanOne: false}")
    where = "unknown key. It belongs in `sharing.timeSlicing` or `sharing.mps`"
    assert found == [f"flags.renameByDefault: {where}", f"flags.failRequestsGreaterThanOne: {where}"]
