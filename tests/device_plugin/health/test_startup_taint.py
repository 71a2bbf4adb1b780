"""The startup taint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.startup_taint import (
    had_gpus,
    parse_startup_taint,
    plan_startup_taint,
)
from node_core.domain.node import NodeView
from node_core.domain.taints import EFFECTS, Taint

TAINT = Taint(key="nvidia.com/gpu-not-ready", effect="NoSchedule")


def view(*taints: dict[str, str], capacity: dict[str, str] | None = None) -> NodeView:
    return NodeView(name="n", uid="u", resource_version="1", labels={}, taints=taints, capacity=capacity or {})


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("nvidia.com/gpu-not-ready:NoSchedule", TAINT),
        ("a=b:NoExecute", Taint(key="a", value="b", effect="NoExecute")),
    ],
)
def test_a_taint_has_the_syntax_of_kubectl(text: str, taint: Taint) -> None:
    assert parse_startup_taint(text) == taint
    assert str(taint) == text


@pytest.mark.parametrize("text", ["", "a", ":NoSchedule", "a:noschedule", "a:", "=b:NoSchedule"])
def test_an_invalid_taint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="key:Effect"):
        parse_startup_taint(text)


@pytest.mark.parametrize(
    "text", ["a b:NoSchedule", "/a:NoSchedule", "a=b c:NoSchedule", "a=b=c:NoSchedule", "a:b:NoSchedule"]
)
def test_a_taint_that_the_api_server_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a taint: its (name|prefix|value) "):
        parse_startup_taint(text)


TAINTS = st.builds(
    lambda key, effect: {"key": key, "effect": effect},
    st.sampled_from([TAINT.key, "a", "b"]),
    st.sampled_from(EFFECTS),
)


@given(taints=st.lists(TAINTS, unique_by=lambda each: tuple(each.items())), is_desired=st.booleans())
def test_the_plan_retains_other_taints(taints: list[dict[str, str]], is_desired: bool) -> None:
    plan = plan_startup_taint(view(*taints), TAINT, is_desired=is_desired)
    ours = {"key": TAINT.key, "effect": TAINT.effect}
    if plan is None:
        assert (ours in taints) == is_desired
        return
    assert [each for each in plan.taints if each != ours] == [each for each in taints if each != ours]
    assert (ours in plan.taints) == is_desired
    again = view(*(dict(each) for each in plan.taints))
    assert plan_startup_taint(again, TAINT, is_desired=is_desired) is None


def test_the_capacity_shows_whether_a_node_had_gpus() -> None:
    assert had_gpus(view(capacity={"cpu": "4", "nvidia.com/mig-1g.5gb": "0"}))
    assert not had_gpus(view(capacity={"cpu": "4", "amd.com/gpu": "8"}))
