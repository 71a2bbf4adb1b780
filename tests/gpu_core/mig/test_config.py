"""mig-parted's config file."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.mig.config import ConfigEntry, decode_mig_configs, render_mig_configs
from node_core.errors import SettingsError

SHIPPED = """
version: v1
mig-configs:
  all-disabled:
    - devices: all
      mig-enabled: false
  all-enabled:
    - devices: all
      mig-enabled: true
      mig-devices: {}
  all-1g.10gb.me:
    - device-filter: ["0x20B210DE", "0x233010de:0x16c110DE"]
      devices: all
      mig-enabled: true
      mig-devices:
        "1g.10gb.me": 1
  custom:
    - devices: [0, 1]
      mig-enabled: false
    - device-filter: "0x20B710DE"
      devices: [2]
      mig-enabled: true
      mig-devices: {"1c.2g.12gb+me": 2, "1g.6gb": 0}
"""
PROFILES = ("1g.10gb", "1g.10gb+me", "1g.24gb+me.all", "1g.24gb-me", "2g.48gb+gfx", "1c.3g.40gb", "7g.80gb")


def decode(text: str) -> Any:
    return decode_mig_configs(yaml.safe_load(text), source="f")


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        decode(text)
    return [problem.removeprefix("f: ") for problem in error.value.problems]


def entry(text: str) -> str:
    return f"{{version: v1, mig-configs: {{x: [{{{text}}}]}}}}"


def test_the_configs_of_nvidia_are_read() -> None:
    configs = decode(SHIPPED)
    assert configs["all-disabled"] == (ConfigEntry(is_enabled=False),)
    assert configs["all-enabled"] == (ConfigEntry(is_enabled=True),)
    assert configs["all-1g.10gb.me"] == (
        ConfigEntry(
            device_filter=("0x20B210DE", "0x233010DE:0x16C110DE"), is_enabled=True, mig_devices={"1g.10gb+me": 1}
        ),
    )
    assert configs["custom"] == (
        ConfigEntry(devices=(0, 1), is_enabled=False),
        ConfigEntry(
            device_filter=("0x20B710DE",),
            devices=(2,),
            is_enabled=True,
            mig_devices={"1c.2g.12gb+me": 2, "1g.6gb": 0},
        ),
    )


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("1g.5gb", "1g.5gb"),
        ("1g.5gb.me", "1g.5gb+me"),
        ("1g.24gb.me.all", "1g.24gb+me.all"),
        ("2g.48gb.gfx", "2g.48gb+gfx"),
        ("1g.24gb-me", "1g.24gb-me"),
        ("1g.24gb+gfx,me", "1g.24gb+gfx,me"),
        ("1c.3g.40gb", "1c.3g.40gb"),
        ("3c.3g.40gb", "3g.40gb"),
        ("1g.0gb", "1g.0gb"),
    ],
)
def test_a_profile_has_one_name(written: str, name: str) -> None:
    configs = decode(entry(f"devices: all, mig-enabled: true, mig-devices: {{'{written}': 1}}"))
    assert configs["x"][0].mig_devices == {name: 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "version: is missing"),
        ("[]", "the document: expected a mapping, got a list"),
        ("{version: v2, mig-configs: {}}", "version: must be v1, found the text 'v2'"),
        ("{version: v1, mig-configs: {}}", "mig-configs: is empty. Write at least one config"),
        ("{version: v1, mig-configs: {x: []}}", "mig-configs.x: is empty. Write at least one entry"),
        ("{version: v1, mig-config: {}}", "mig-config: unknown key (did you mean mig-configs?)"),
        (entry("devices: all"), "mig-configs.x[0].mig-enabled: is missing"),
        (entry("mig-enabled: false"), "mig-configs.x[0].devices: is missing"),
        (entry("devices: every, mig-enabled: false"), "mig-configs.x[0].devices: must be all or a list, found the text 'every'"),
        (entry("devices: [-1], mig-enabled: false"), "mig-configs.x[0].devices[0]: must be a whole number from 0 up, found the number -1"),
        (
            entry("devices: all, mig-enabled: true"),
            "mig-configs.x[0].mig-devices: is missing. Write the number of MIG devices of each profile, or {} for none",
        ),
        (
            entry("devices: all, mig-enabled: false, mig-devices: {1g.5gb: 1}"),
            "mig-configs.x[0].mig-devices: must be empty if mig-enabled is false",
        ),
        (
            entry("devices: all, mig-enabled: true, mig-devices: {1g.5gb: 0}"),
            "mig-configs.x[0].mig-devices: all counts are 0. Write {} for MIG mode without MIG devices",
        ),
        (
            entry("devices: all, mig-enabled: true, mig-devices: {1g.5gb: -1}"),
            "mig-configs.x[0].mig-devices.1g.5gb: must be a whole number from 0 to 1000, found the number -1",
        ),
        (
            entry("devices: all, mig-enabled: true, mig-devices: {1g-5gb: 1}"),
            "mig-configs.x[0].mig-devices.1g-5gb: is not the name of a MIG profile. Write a name such as 1g.10gb, 1g.10gb+me or 1c.3g.40gb",
        ),
        (
            entry("devices: all, mig-enabled: true, mig-devices: {4c.3g.40gb: 1}"),
            "mig-configs.x[0].mig-devices.4c.3g.40gb: has more compute slices than its GPU instance, which has 3",
        ),
        (
            entry("devices: all, mig-enabled: true, mig-devices: {1g.5gb+me: 1, 1g.5gb.me: 1}"),
            "mig-configs.x[0].mig-devices.1g.5gb.me: is in the list twice: 1g.5gb+me is the same profile",
        ),
        (
            entry("device-filter: A100, devices: all, mig-enabled: false"),
            "mig-configs.x[0].device-filter: 'A100' is not a PCI id. Write device and vendor such as 0x20B010DE",
        ),
        (
            entry("device_filter: 0x20B010DE, devices: all, mig-enabled: false"),
            "mig-configs.x[0].device_filter: unknown key (did you mean device-filter?)",
        ),
    ],
)  # fmt: skip
def test_a_problem_has_a_path_and_says_what_to_write(text: str, problem: str) -> None:
    assert problem in problems(text)


def test_all_problems_are_reported_at_once() -> None:
    text = "{version: v1, mig-configs: {x: [], y: [{devices: all, mig-enabled: true, mig-devices: {a: 1, b: 1}}]}}"
    assert len(problems(text)) == 3


entries = st.builds(
    ConfigEntry,
    device_filter=st.lists(st.sampled_from(("0x20B010DE", "0x233010DE:0x16C110DE")), unique=True).map(tuple),
    devices=st.none() | st.lists(st.integers(0, 15), unique=True).map(tuple),
    is_enabled=st.just(value=True),
    mig_devices=st.dictionaries(st.sampled_from(PROFILES), st.integers(1, 7)),
) | st.just(ConfigEntry(is_enabled=False))


@given(st.dictionaries(st.text(min_size=1), st.lists(entries, min_size=1).map(tuple), min_size=1))
def test_a_written_config_is_read_as_the_same_config(configs: dict[str, tuple[ConfigEntry, ...]]) -> None:
    assert decode_mig_configs(render_mig_configs(configs), source="f") == configs
