"""The comparison of two config dumps of containerd."""

from typing import Any

import pytest

from gpu_toolkit.dump import find_difference

CRI = "io.containerd.cri.v1.runtime"
BEFORE: dict[str, Any] = {
    "version": 3,
    "imports": [],
    "plugins": {CRI: {"enable_cdi": False, "x": 1, "cni": {"bin_dir": "/opt"}}},
}


def after(**cri: Any) -> dict[str, Any]:
    return {**BEFORE, "imports": ["/d/*.toml"], "plugins": {CRI: {**BEFORE["plugins"][CRI], **cri}}}


@pytest.mark.parametrize(
    ("dump", "problem"),
    [
        (after(enable_cdi=True), None),
        (after(), "the change does not set enable_cdi"),
        (after(enable_cdi=True, x=2), f"the change would also alter plugins.{CRI}.x"),
        (after(enable_cdi=True, cni={}), f"the change would also alter plugins.{CRI}.cni.bin_dir"),
        ({}, f"the change would also alter plugins.{CRI}.cni.bin_dir, plugins.{CRI}.x, version"),
    ],
)
def test_only_the_wanted_values_may_differ(dump: dict[str, Any], problem: str | None) -> None:
    assert find_difference(BEFORE, dump, {(): {"enable_cdi": True}}) == problem


def test_only_some_of_many_differences_are_named() -> None:
    problem = find_difference({str(each): each for each in range(9)}, {}, {})
    assert problem == "the change would also alter 0, 1, 2, 3, 4 and more"


def test_a_new_table_may_have_defaults() -> None:
    handler = ("containerd", "runtimes", "nvidia")
    new = after(containerd={"runtimes": {"nvidia": {"runtime_type": "t", "sandboxer": "podsandbox"}}})
    assert find_difference(BEFORE, new, {handler: {"runtime_type": "t"}}) is None
    assert find_difference(BEFORE, new, {handler: {"runtime_type": "u"}}) == "the change does not set runtime_type"
