"""The state machine of a GPU's health: what makes a GPU unhealthy, and the conditions under which a GPU returns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.health import (
    MAX_INCIDENTS,
    Health,
    HealthPolicy,
    Phase,
    advance,
    advice,
    next_discovery_at,
    observe,
    record_xid,
    suspect_reasons,
    unusable_reason,
)
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass, XidPolicy
from node_core.values import replace

POLICY = HealthPolicy()
HEALTHY = GpuState(gpu=GpuUuid("GPU-0"), recovery_action=RecoveryAction.NONE, remap_pending=False, remap_failed=False)
OLDER = GpuState(gpu=GpuUuid("GPU-0"))
"""The state from a driver that does not report recovery actions."""
RESET = replace(HEALTHY, recovery_action=RecoveryAction.RESET)
LOST = GpuState(gpu=GpuUuid("GPU-0"), lost=True)


def with_xid(xid: int, at: float, health: Health | None = None) -> Health:
    return record_xid(health or observe(Health(), HEALTHY, 0.0, POLICY), XidEvent(xid=xid, at=at), POLICY)


def phases_of(health: Health, *observations: tuple[float, GpuState | None], policy: HealthPolicy = POLICY) -> list[str]:
    phases = []
    for at, state in observations:
        health = observe(health, state, at, policy)
        phases.append(health.phase.value)
    return phases


def test_a_healthy_gpu_needs_no_discovery() -> None:
    health = observe(Health(), HEALTHY, 5.0, POLICY)
    assert (health.phase, unusable_reason(health, POLICY), next_discovery_at(health, POLICY)) == (
        Phase.HEALTHY,
        None,
        None,
    )


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 63, 68, 94, 109, 154])
def test_a_harmless_xid_changes_nothing(xid: int) -> None:
    health = observe(Health(), HEALTHY, 0.0, POLICY)
    assert record_xid(health, XidEvent(xid=xid, at=1.0), POLICY) == health


def test_an_xid_makes_the_gpu_unhealthy_at_once_with_a_reason() -> None:
    health = with_xid(48, 10.0)
    assert health.phase is Phase.UNHEALTHY
    assert unusable_reason(health, POLICY) == "Xid 48: double bit ECC error"
    assert advice(health, POLICY) == "drain the GPU and reset it (nvidia-smi --gpu-reset)"


def test_a_gpu_without_recovery_action_returns_after_the_hold_down() -> None:
    observations = [(at, HEALTHY) for at in (11.0, 40.0, 70.9, 71.0, 72.0)]
    assert phases_of(with_xid(48, 10.0), *observations) == [
        "recovering",
        "recovering",
        "recovering",
        "healthy",
        "healthy",
    ]


def test_a_gpu_does_not_return_while_the_recovery_action_is_reset() -> None:
    observations = [(11.0, RESET), (500.0, RESET), (501.0, HEALTHY), (560.0, HEALTHY), (561.0, HEALTHY)]
    assert phases_of(with_xid(48, 10.0), *observations) == [
        "unhealthy",
        "unhealthy",
        "recovering",
        "recovering",
        "healthy",
    ]


def test_a_new_xid_restarts_the_hold_down() -> None:
    health = observe(with_xid(48, 10.0), HEALTHY, 60.0, POLICY)
    assert phases_of(with_xid(48, 65.0, health), (71.0, HEALTHY), (125.0, HEALTHY), (131.0, HEALTHY)) == [
        "recovering", "recovering", "healthy",
    ]  # fmt: skip


def test_time_alone_does_not_make_a_gpu_usable() -> None:
    health = observe(with_xid(48, 10.0), HEALTHY, 11.0, POLICY)
    assert advance(health, 10_000.0, POLICY).phase is Phase.RECOVERING


def test_a_discovery_before_the_xid_does_not_clear_the_xid() -> None:
    assert phases_of(with_xid(125, 10.0), (10.0, OLDER), (100.0, OLDER)) == ["unhealthy", "recovering"]


@pytest.mark.parametrize(
    ("xid", "phases"),
    [
        pytest.param(125, ["recovering", "healthy"], id="device-needs-the-hold-down"),
        pytest.param(48, ["unhealthy", "unhealthy"], id="reset-needs-one"),
        pytest.param(79, ["unhealthy", "unhealthy"], id="reboot-needs-one"),
        pytest.param(54, ["unhealthy", "unhealthy"], id="replace-needs-a-person"),
    ],
)
def test_with_an_older_driver_the_class_of_the_xid_decides(xid: int, phases: list[str]) -> None:
    assert phases_of(with_xid(xid, 10.0), (11.0, OLDER), (200.0, OLDER)) == phases


@pytest.mark.parametrize(
    ("before", "renewal"),
    [
        pytest.param(OLDER, [(20.0, None), (30.0, OLDER)], id="missing-and-back"),
        pytest.param(
            replace(OLDER, uncorrectable=3), [(30.0, replace(OLDER, uncorrectable=0))], id="error-counter-restarted"
        ),
    ],
)
def test_with_an_older_driver_a_gpu_returns_after_a_reset(
    before: GpuState, renewal: list[tuple[float, GpuState | None]]
) -> None:
    health = observe(with_xid(48, 10.0), before, 11.0, POLICY)
    assert phases_of(health, *renewal, (95.0, OLDER))[-2:] == ["recovering", "healthy"]


def test_a_reset_before_the_xid_does_not_clear_the_xid() -> None:
    health = with_xid(48, 10.0, observe(observe(Health(), OLDER, 1.0, POLICY), None, 5.0, POLICY))
    assert phases_of(health, (8.0, OLDER), (20.0, OLDER), (900.0, OLDER))[-1] == "unhealthy"


def test_a_lost_gpu_that_can_be_queried_again_was_not_reset() -> None:
    assert phases_of(with_xid(48, 10.0), (20.0, LOST), (30.0, OLDER), (900.0, OLDER))[-1] == "unhealthy"


def test_a_lost_gpu_returns_after_the_hold_down() -> None:
    observations = [(1.0, LOST), (2.0, HEALTHY), (61.9, HEALTHY), (62.0, HEALTHY)]
    assert phases_of(Health(), *observations) == ["unhealthy", "recovering", "recovering", "healthy"]


def test_a_healthy_gpu_that_was_removed_and_returned_is_healthy() -> None:
    assert phases_of(Health(), (1.0, HEALTHY), (2.0, None), (3.0, HEALTHY)) == ["healthy", "healthy", "healthy"]


@pytest.mark.parametrize(
    "suspect",
    [
        pytest.param(replace(HEALTHY, remap_pending=True), id="rows"),
        pytest.param(replace(HEALTHY, retirement_pending=True), id="pages"),
    ],
)
def test_a_pending_repair_makes_a_gpu_suspect_and_delays_a_recovery(suspect: GpuState) -> None:
    assert phases_of(Health(), (1.0, suspect), (2.0, HEALTHY)) == ["suspect", "healthy"]
    assert phases_of(with_xid(48, 10.0), (11.0, suspect), (200.0, suspect), (201.0, HEALTHY)) == [
        "recovering", "recovering", "healthy",
    ]  # fmt: skip
    assert suspect_reasons(Health(state=suspect))[0] in (
        unusable_reason(observe(with_xid(48, 10.0), suspect, 11.0, POLICY), POLICY) or ""
    )


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (replace(HEALTHY, remap_failed=True), "a row remapping failed"),
        (RESET, "the driver reports the recovery action reset"),
        (LOST, "the GPU is lost"),
        (replace(LOST, fault="nvmlDeviceGetName returned GPU_IS_LOST"), "the GPU is lost"),
        (
            replace(LOST, fault="nvmlDeviceGetName returned UNKNOWN"),
            "the GPU cannot be read (nvmlDeviceGetName returned UNKNOWN)",
        ),
        (replace(LOST, recovery_action=RecoveryAction.RESET), "the GPU needs a reset"),
        (replace(HEALTHY, missing_nodes=("/dev/nvidia0",)), "device nodes are missing: /dev/nvidia0"),
    ],
)
def test_a_bad_polled_state_makes_a_gpu_unhealthy(state: GpuState, why: str) -> None:
    health = observe(Health(), state, 1.0, POLICY)
    assert (health.phase, unusable_reason(health, POLICY)) == (Phase.UNHEALTHY, why)
    assert advice(health, POLICY)


def test_thermal_brakes_and_past_ecc_errors_do_not_change_the_phase() -> None:
    state = replace(HEALTHY, throttled=("hw-thermal-slowdown",), uncorrectable=7)
    assert observe(Health(), state, 1.0, POLICY).phase is Phase.HEALTHY


def test_without_polling_only_a_lost_gpu_is_unhealthy() -> None:
    policy = HealthPolicy(polled=False)
    assert phases_of(Health(), (1.0, RESET), (2.0, LOST), policy=policy) == ["healthy", "unhealthy"]


def test_a_gpu_does_not_return_more_often_than_the_policy_allows() -> None:
    health, back, now = observe(Health(), HEALTHY, 0.0, POLICY), 0, 0.0
    for _ in range(10):
        health = record_xid(health, XidEvent(xid=125, at=now), POLICY)
        for later in (1.0, 62.0):
            health = observe(health, HEALTHY, now + later, POLICY)
        back += health.phase is Phase.HEALTHY
        now += 100.0
    assert back == POLICY.max_returns
    assert "has returned 3 times within 3600 s" in (unusable_reason(health, POLICY) or "")
    due = next_discovery_at(health, POLICY)
    assert due is not None
    assert observe(health, HEALTHY, due, POLICY).phase is Phase.HEALTHY


def test_the_most_severe_xid_comes_first() -> None:
    health = with_xid(79, 12.0, with_xid(125, 11.0, with_xid(48, 10.0)))
    assert [incident.xid for incident in health.incidents] == [79, 48, 125]


def test_the_number_of_incidents_is_limited() -> None:
    health = Health()
    for number in range(10_000):
        health = record_xid(health, XidEvent(xid=number, at=float(number)), POLICY)
    assert len(health.incidents) == MAX_INCIDENTS
    assert health.incidents[0].kind is XidClass.REPLACE


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
MOSTLY_HEALTHY = st.one_of(st.just(HEALTHY), st.just(OLDER), STATES)
STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 90.0),
        st.one_of(st.sampled_from([31, 125, 48, 54, 79, 999]), MOSTLY_HEALTHY, st.just("wait")),
    ),
    max_size=40,
)
POLICIES = st.builds(
    HealthPolicy,
    xids=st.sampled_from([XidPolicy(), XidPolicy(all_enabled=True), XidPolicy(all_disabled=True)]),
    hold_down=st.sampled_from([0.0, 60.0]),
    max_returns=st.integers(1, 3),
    flap_period=st.just(600.0),
)


def apply_step(health: Health, what: object, now: float, policy: HealthPolicy) -> Health:
    if isinstance(what, int):
        return record_xid(health, XidEvent(xid=what, at=now), policy)
    if what == "wait":
        return advance(health, now, policy)
    assert what is None or isinstance(what, GpuState)
    return observe(health, what, now, policy)


@given(steps=STEPS, policy=POLICIES)
def test_a_gpu_returns_only_by_a_healthy_discovery_after_a_quiet_hold_down(
    steps: list[tuple[float, object]], policy: HealthPolicy
) -> None:
    health, now, last_xid, last_bad = Health(), 1.0, 0.0, 0.0
    for wait, what in steps:
        now += wait
        before, health = health, apply_step(health, what, now, policy)
        if isinstance(what, int) and not policy.xids.classify(what).is_harmless:
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
                    incident.kind is XidClass.DEVICE or (incident.reset_at or 0.0) > incident.at for incident in before.incidents
                ) or _counts_fell(before, what) or before.was_missing  # fmt: skip
            assert all(incident.kind is not XidClass.REPLACE for incident in before.incidents)


def _counts_fell(before: Health, now: GpuState) -> bool:
    return (before.state is not None and (before.state.uncorrectable or 0)) > (now.uncorrectable or 0)


@given(steps=STEPS, policy=POLICIES)
def test_returns_are_limited_in_every_flap_period(steps: list[tuple[float, object]], policy: HealthPolicy) -> None:
    health, now, returns = Health(), 1.0, list[float]()
    for wait, what in steps:
        now += wait
        before, health = health, apply_step(health, what, now, policy)
        if not before.phase.is_usable and health.phase.is_usable:
            returns.append(now)
    for at in returns:
        assert sum(at - policy.flap_period < other <= at for other in returns) <= policy.max_returns


@given(steps=STEPS, policy=POLICIES)
def test_only_an_unusable_gpu_has_a_reason(steps: list[tuple[float, object]], policy: HealthPolicy) -> None:
    health, now = Health(), 1.0
    for wait, what in steps:
        now += wait
        health = apply_step(health, what, now, policy)
        assert (unusable_reason(health, policy) is None) == health.phase.is_usable
        assert not (health.phase.is_usable and health.incidents)


def test_nvlinks_that_went_down_make_a_gpu_suspect_until_they_are_up_again() -> None:
    eighteen, seventeen, unknown = (replace(HEALTHY, nvlinks=count) for count in (18, 17, None))
    assert phases_of(Health(), (1, seventeen), (2, eighteen), (3, seventeen), (4, unknown), (5, seventeen), (6, eighteen)) == [
        "healthy", "healthy", "suspect", "healthy", "suspect", "healthy",
    ]  # fmt: skip
    health = observe(observe(Health(), eighteen, 1.0, POLICY), seventeen, 2.0, POLICY)
    assert suspect_reasons(health) == ("1 of 18 NVLinks went down",)
    assert health.phase.is_usable


def test_a_fabric_problem_makes_a_gpu_suspect_but_does_not_delay_a_recovery() -> None:
    late = replace(HEALTHY, fabric=("the registration in the NVLink fabric is not complete",))
    assert phases_of(Health(), (1, late), (2, HEALTHY)) == ["suspect", "healthy"]
    assert phases_of(with_xid(48, 10.0), (11, late), (72, late)) == ["recovering", "suspect"]


def test_a_return_counts_until_the_flap_period_is_over() -> None:
    policy = HealthPolicy(flap_period=600.0)
    health = Health(returns=(1000.0, 1300.0))
    assert advance(health, 1599.0, policy).returns == (1000.0, 1300.0)
    assert advance(health, 1600.0, policy).returns == (1300.0,)


def test_without_an_observed_state_nothing_is_suspect() -> None:
    assert suspect_reasons(Health()) == ()
