"""The taint that keeps pods away until the GPUs are there, and that nobody gets for a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.health.startup_taint import (
    CLAIM,
    StartupTaint,
    had_gpus,
    parse_startup_taint,
    plan_startup_taint,
)
from device_plugin.health.teller import Teller
from node_core.domain.node import NodeView
from node_core.domain.taints import EFFECTS, Taint
from node_core.kube.client import NodeApi
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from tests.device_plugin.health.test_teller import Fake, holders

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
def test_a_taint_is_written_as_kubectl_takes_it(text: str, taint: Taint) -> None:
    assert parse_startup_taint(text) == taint
    assert str(taint) == text


@pytest.mark.parametrize("text", ["", "a", ":NoSchedule", "a:noschedule", "a:", "=b:NoSchedule"])
def test_what_is_no_taint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="key:Effect"):
        parse_startup_taint(text)


TAINTS = st.builds(
    lambda key, effect: {"key": key, "effect": effect},
    st.sampled_from([TAINT.key, "a", "b"]),
    st.sampled_from(EFFECTS),
)


@given(taints=st.lists(TAINTS, unique_by=lambda each: tuple(each.items())), is_wanted=st.booleans())
def test_the_plan_leaves_the_taints_of_others_as_they_are(taints: list[dict[str, str]], is_wanted: bool) -> None:
    plan = plan_startup_taint(view(*taints), TAINT, is_wanted=is_wanted)
    ours = {"key": TAINT.key, "effect": TAINT.effect}
    if plan is None:
        assert (ours in taints) == is_wanted
        return
    assert [each for each in plan.taints if each != ours] == [each for each in taints if each != ours]
    assert (ours in plan.taints) == is_wanted
    again = view(*(dict(each) for each in plan.taints))
    assert plan_startup_taint(again, TAINT, is_wanted=is_wanted) is None


def test_a_node_that_had_gpus_is_known_by_its_capacity() -> None:
    assert had_gpus(view(capacity={"cpu": "4", "nvidia.com/mig-1g.5gb": "0"}))
    assert not had_gpus(view(capacity={"cpu": "4", "amd.com/gpu": "8"}))


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        yield running


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> NodeApi:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return NodeApi("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="test")


def test_it_is_set_and_taken_away_and_each_takes_one_write(api: NodeApi) -> None:
    keeper = StartupTaint(api, "gpu-device-plugin", TAINT)
    assert [keeper.apply(True), keeper.apply(True)] == [True, False]
    assert [dict(each) for each in api.get().taints] == [{"key": TAINT.key, "effect": "NoSchedule"}]
    assert api.get().annotations[CLAIM] == str(TAINT)
    another_process = StartupTaint(api, "gpu-device-plugin", TAINT)
    assert [another_process.apply(False), another_process.apply(False)] == [True, False]
    assert (api.get().taints, CLAIM in api.get().annotations) == ((), False)


def test_the_teller_keeps_the_newest_wish_until_it_is_done() -> None:
    class Keeper:
        def __init__(self) -> None:
            self.wishes: list[bool] = []

        def apply(self, wanted: bool) -> bool:
            self.wishes.append(wanted)
            return True

    keeper = Keeper()
    teller = Teller(Fake(), holders, Services(), agent="a", node_name="n1", startup=keeper)
    teller.taint(True)
    teller.taint(False)
    assert [teller.step(), teller.step()] == [True, True]
    assert keeper.wishes == [False]
    assert not teller._has_work
