"""The state machine of a GPU's health: how it goes down, and by which conditions alone it comes back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from node_core.domain.health import (
    MOST_WOUNDS,
    Health,
    HealthPolicy,
    Phase,
    advance,
    advice,
    look,
    next_look,
    strike,
    why_suspect,
    why_unusable,
)
from node_core.domain.inventory import GpuUuid
from node_core.domain.xid import XidClass, XidPolicy

POLICY = HealthPolicy()
SOUND = GpuState(gpu=GpuUuid("GPU-0"), recovery_action=RecoveryAction.NONE, remap_pending=False, remap_failed=False)
OLDER = GpuState(gpu=GpuUuid("GPU-0"))
"""Of a driver that does not know recovery actions."""
RESET = replace(SOUND, recovery_action=RecoveryAction.RESET)
LOST = GpuState(gpu=GpuUuid("GPU-0"), lost=True)


def struck(xid: int, at: float, health: Health | None = None) -> Health:
    return strike(health or look(Health(), SOUND, 0.0, POLICY), XidEvent(xid=xid, at=at), POLICY)


def looks(health: Health, *seen: tuple[float, GpuState | None], policy: HealthPolicy = POLICY) -> list[str]:
    phases = []
    for at, state in seen:
        health = look(health, state, at, policy)
        phases.append(health.phase.value)
    return phases


def test_a_sound_gpu_is_healthy_and_asks_for_nothing() -> None:
    health = look(Health(), SOUND, 5.0, POLICY)
    assert (health.phase, why_unusable(health, POLICY), next_look(health, POLICY)) == (Phase.HEALTHY, None, None)


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 63, 68, 94, 109, 154])
def test_a_harmless_xid_changes_nothing(xid: int) -> None:
    health = look(Health(), SOUND, 0.0, POLICY)
    assert strike(health, XidEvent(xid=xid, at=1.0), POLICY) == health


def test_an_xid_takes_the_gpu_away_at_once_and_says_why() -> None:
    health = struck(48, 10.0)
    assert health.phase is Phase.UNHEALTHY
    assert why_unusable(health, POLICY) == "Xid 48: double bit ECC error"
    assert advice(health) == "drain the GPU and reset it (nvidia-smi --gpu-reset)"


def test_it_comes_back_after_the_hold_down_when_the_driver_says_that_nothing_is_to_be_done() -> None:
    seen = [(at, SOUND) for at in (11.0, 40.0, 70.9, 71.0, 72.0)]
    assert looks(struck(48, 10.0), *seen) == ["recovering", "recovering", "recovering", "healthy", "healthy"]


def test_it_does_not_come_back_while_the_driver_asks_for_a_reset() -> None:
    seen = [(11.0, RESET), (500.0, RESET), (501.0, SOUND), (560.0, SOUND), (561.0, SOUND)]
    assert looks(struck(48, 10.0), *seen) == ["unhealthy", "unhealthy", "recovering", "recovering", "healthy"]


def test_a_new_xid_begins_the_hold_down_anew() -> None:
    health = look(struck(48, 10.0), SOUND, 60.0, POLICY)
    assert looks(struck(48, 65.0, health), (71.0, SOUND), (125.0, SOUND), (131.0, SOUND)) == [
        "recovering", "recovering", "healthy",
    ]  # fmt: skip


def test_time_alone_heals_nothing() -> None:
    health = look(struck(48, 10.0), SOUND, 11.0, POLICY)
    assert advance(health, 10_000.0, POLICY).phase is Phase.RECOVERING


def test_a_look_from_before_the_xid_proves_nothing() -> None:
    assert looks(struck(125, 10.0), (10.0, OLDER), (100.0, OLDER)) == ["unhealthy", "recovering"]


@pytest.mark.parametrize(
    ("xid", "phases"),
    [
        pytest.param(125, ["recovering", "healthy"], id="device-is-quiet-for-the-hold-down"),
        pytest.param(48, ["unhealthy", "unhealthy"], id="reset-needs-one"),
        pytest.param(79, ["unhealthy", "unhealthy"], id="reboot-needs-one"),
        pytest.param(54, ["unhealthy", "unhealthy"], id="replace-needs-somebody"),
    ],
)
def test_with_an_older_driver_the_class_decides(xid: int, phases: list[str]) -> None:
    assert looks(struck(xid, 10.0), (11.0, OLDER), (200.0, OLDER)) == phases


@pytest.mark.parametrize(
    ("before", "renewal"),
    [
        pytest.param(OLDER, [(20.0, None), (30.0, OLDER)], id="it-was-gone-and-is-back"),
        pytest.param(
            replace(OLDER, uncorrectable=3), [(30.0, replace(OLDER, uncorrectable=0))], id="it-counts-its-errors-anew"
        ),
    ],
)
def test_with_an_older_driver_a_gpu_that_was_renewed_comes_back(
    before: GpuState, renewal: list[tuple[float, GpuState | None]]
) -> None:
    health = look(struck(48, 10.0), before, 11.0, POLICY)
    assert looks(health, *renewal, (95.0, OLDER))[-2:] == ["recovering", "healthy"]


def test_a_renewal_from_before_the_xid_does_not_count() -> None:
    health = struck(48, 10.0, look(look(Health(), OLDER, 1.0, POLICY), None, 5.0, POLICY))
    assert looks(health, (8.0, OLDER), (20.0, OLDER), (900.0, OLDER))[-1] == "unhealthy"


def test_a_gpu_that_only_answers_again_was_not_renewed() -> None:
    assert looks(struck(48, 10.0), (20.0, LOST), (30.0, OLDER), (900.0, OLDER))[-1] == "unhealthy"


def test_a_lost_gpu_waits_for_the_hold_down_when_it_is_back() -> None:
    seen = [(1.0, LOST), (2.0, SOUND), (61.9, SOUND), (62.0, SOUND)]
    assert looks(Health(), *seen) == ["unhealthy", "recovering", "recovering", "healthy"]


def test_a_healthy_gpu_that_was_taken_out_and_put_back_is_healthy() -> None:
    assert looks(Health(), (1.0, SOUND), (2.0, None), (3.0, SOUND)) == ["healthy", "healthy", "healthy"]


@pytest.mark.parametrize(
    "doubtful",
    [
        pytest.param(replace(SOUND, remap_pending=True), id="rows"),
        pytest.param(replace(SOUND, retirement_pending=True), id="pages"),
    ],
)
def test_a_pending_repair_makes_a_gpu_suspect_and_keeps_a_recovering_one_out(doubtful: GpuState) -> None:
    assert looks(Health(), (1.0, doubtful), (2.0, SOUND)) == ["suspect", "healthy"]
    assert looks(struck(48, 10.0), (11.0, doubtful), (200.0, doubtful), (201.0, SOUND)) == [
        "recovering", "recovering", "healthy",
    ]  # fmt: skip
    assert why_suspect(Health(state=doubtful))[0] in (
        why_unusable(look(struck(48, 10.0), doubtful, 11.0, POLICY), POLICY) or ""
    )


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (replace(SOUND, remap_failed=True), "a row remapping failed"),
        (RESET, "the driver says that the GPU needs this recovery: reset"),
        (LOST, "the GPU is lost"),
        (replace(SOUND, missing_nodes=("/dev/nvidia0",)), "device nodes are missing: /dev/nvidia0"),
    ],
)
def test_what_a_gpu_says_of_itself_takes_it_away(state: GpuState, why: str) -> None:
    health = look(Health(), state, 1.0, POLICY)
    assert (health.phase, why_unusable(health, POLICY)) == (Phase.UNHEALTHY, why)
    assert advice(health)


def test_thermal_brakes_and_corrected_memory_are_information_only() -> None:
    state = replace(SOUND, throttled=("hw-thermal-slowdown",), uncorrectable=7)
    assert look(Health(), state, 1.0, POLICY).phase is Phase.HEALTHY


def test_what_it_says_of_itself_can_be_turned_off_but_a_lost_gpu_is_lost() -> None:
    policy = HealthPolicy(polled=False)
    assert looks(Health(), (1.0, RESET), (2.0, LOST), policy=policy) == ["healthy", "unhealthy"]


def test_it_does_not_come_back_more_often_than_the_cap_allows() -> None:
    health, back, now = look(Health(), SOUND, 0.0, POLICY), 0, 0.0
    for _ in range(10):
        health = strike(health, XidEvent(xid=125, at=now), POLICY)
        for later in (1.0, 62.0):
            health = look(health, SOUND, now + later, POLICY)
        back += health.phase is Phase.HEALTHY
        now += 100.0
    assert back == POLICY.most_returns
    assert "it came back 3 times within 3600 s" in (why_unusable(health, POLICY) or "")
    due = next_look(health, POLICY)
    assert due is not None
    assert look(health, SOUND, due, POLICY).phase is Phase.HEALTHY


def test_the_worst_of_several_xids_is_said_first() -> None:
    health = struck(79, 12.0, struck(125, 11.0, struck(48, 10.0)))
    assert [wound.xid for wound in health.wounds] == [79, 48, 125]


def test_a_storm_of_all_numbers_stays_small() -> None:
    health = Health()
    for number in range(10_000):
        health = strike(health, XidEvent(xid=number, at=float(number)), POLICY)
    assert len(health.wounds) == MOST_WOUNDS
    assert health.wounds[0].kind is XidClass.REPLACE


STATES = st.one_of(
    st.none(),
    st.builds(
        GpuState,
        gpu=st.just(GpuUuid("GPU-0")),
        lost=st.booleans(),
        recovery_action=st.one_of(st.none(), st.sampled_from(RecoveryAction)),
        remap_pending=st.one_of(st.none(), st.booleans()),
        remap_failed=st.one_of(st.none(), st.booleans()),
        retirement_pending=st.one_of(st.none(), st.booleans()),
        uncorrectable=st.one_of(st.none(), st.integers(0, 3)),
        missing_nodes=st.sampled_from([(), ("/dev/nvidia0",)]),
    ),
)
SOUND_MORE_OFTEN = st.one_of(st.just(SOUND), st.just(OLDER), STATES)
STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 90.0),
        st.one_of(st.sampled_from([31, 125, 48, 54, 79, 999]), SOUND_MORE_OFTEN, st.just("wait")),
    ),
    max_size=40,
)
POLICIES = st.builds(
    HealthPolicy,
    xids=st.sampled_from([XidPolicy(), XidPolicy(all_enabled=True), XidPolicy(all_disabled=True)]),
    hold_down=st.sampled_from([0.0, 60.0]),
    most_returns=st.integers(1, 3),
    flap_period=st.just(600.0),
)


def take(health: Health, what: object, now: float, policy: HealthPolicy) -> Health:
    if isinstance(what, int):
        return strike(health, XidEvent(xid=what, at=now), policy)
    if what == "wait":
        return advance(health, now, policy)
    assert what is None or isinstance(what, GpuState)
    return look(health, what, now, policy)


@given(steps=STEPS, policy=POLICIES)
def test_no_way_leads_back_but_by_a_sound_look_after_a_quiet_hold_down(
    steps: list[tuple[float, object]], policy: HealthPolicy
) -> None:
    health, now, last_xid, last_bad = Health(), 1.0, 0.0, 0.0
    for wait, what in steps:
        now += wait
        before, health = health, take(health, what, now, policy)
        if isinstance(what, int) and not policy.xids.kind(what).is_harmless:
            last_xid = now
        if not isinstance(what, int | str) and (what is None or health.phase is Phase.UNHEALTHY):
            last_bad = now
        if not before.phase.is_usable and health.phase.is_usable:
            assert isinstance(what, GpuState)
            assert what.recovery_action in (None, RecoveryAction.NONE)
            assert not any((what.lost, what.remap_failed, what.remap_pending, what.missing_nodes))
            assert now - max(last_xid, last_bad) >= policy.hold_down
            if what.recovery_action is None:
                assert all(
                    wound.kind is XidClass.DEVICE or (wound.renewed or 0.0) > wound.at for wound in before.wounds
                ) or _counts_fell(before, what) or before.was_gone  # fmt: skip
            assert all(wound.kind is not XidClass.REPLACE for wound in before.wounds)


def _counts_fell(before: Health, now: GpuState) -> bool:
    return (before.state is not None and (before.state.uncorrectable or 0)) > (now.uncorrectable or 0)


@given(steps=STEPS, policy=POLICIES)
def test_returns_are_bounded_in_any_flap_period(steps: list[tuple[float, object]], policy: HealthPolicy) -> None:
    health, now, returns = Health(), 1.0, list[float]()
    for wait, what in steps:
        now += wait
        before, health = health, take(health, what, now, policy)
        if not before.phase.is_usable and health.phase.is_usable:
            returns.append(now)
    for at in returns:
        assert sum(at - policy.flap_period < other <= at for other in returns) <= policy.most_returns


@given(steps=STEPS, policy=POLICIES)
def test_whoever_is_out_of_use_has_a_reason_and_whoever_is_in_use_has_none(
    steps: list[tuple[float, object]], policy: HealthPolicy
) -> None:
    health, now = Health(), 1.0
    for wait, what in steps:
        now += wait
        health = take(health, what, now, policy)
        assert (why_unusable(health, policy) is None) == health.phase.is_usable
        assert not (health.phase.is_usable and health.wounds)


def test_nvlinks_that_were_up_and_are_down_make_a_gpu_suspect_until_they_are_up_again() -> None:
    eighteen, seventeen, unsaid = (replace(SOUND, nvlinks=count) for count in (18, 17, None))
    assert looks(Health(), (1, seventeen), (2, eighteen), (3, seventeen), (4, unsaid), (5, seventeen), (6, eighteen)) == [
        "healthy", "healthy", "suspect", "healthy", "suspect", "healthy",
    ]  # fmt: skip
    health = look(look(Health(), eighteen, 1.0, POLICY), seventeen, 2.0, POLICY)
    assert why_suspect(health) == ("1 of 18 NVLinks that were up are down",)
    assert health.phase.is_usable


def test_a_fabric_in_trouble_makes_a_gpu_suspect_and_keeps_none_out() -> None:
    late = replace(SOUND, fabric=("its registration at the NVLink fabric is not completed",))
    assert looks(Health(), (1, late), (2, SOUND)) == ["suspect", "healthy"]
    assert looks(struck(48, 10.0), (11, late), (72, late)) == ["recovering", "suspect"]
