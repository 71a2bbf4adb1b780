"""Attempts on a simulated driver: what is changed, who is waited for, and what a failure or the end of the process leaves."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_core.domain.inventory import Gpu
from gpu_core.mig.plan import Layout
from gpu_core.nvml.api import Nvml
from mig_manager.busy_policy import BusyPolicy
from mig_manager.journal import Journal
from mig_manager.outcome import Applied, Busy, Failed, NotReady, Reason, Released, Request
from mig_manager.policy import Usage
from mig_manager.surroundings import Changes
from node_core.errors import KubeError, MigError, NotReadError, NvmlError
from node_core.values import replace
from tests.mig_manager.places import POD, Killed, Place

NAMES = ("all-disabled", "all-enabled", "all-1g.10gb", "all-3g.40gb", "all-balanced", "mixed")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "mig.json")


def test_a_config_is_applied_once(place: Place) -> None:
    outcome = place.apply("all-3g.40gb")
    assert isinstance(outcome, Applied)
    assert [text.partition(": ")[2] for text in outcome.changes] == ["2 x 3g.40gb created"] * 2
    uuids, place.calls = place.uuids, []
    assert place.apply("all-3g.40gb") == Applied()
    assert place.uuids == uuids
    assert place.calls == []


@settings(max_examples=20)
@given(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_any_sequence_of_configs_ends_in_the_last_one(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("node")
    place, other = Place(folder / "a.json", gpus=1), Place(folder / "b.json", gpus=1)
    assert all(isinstance(place.apply(name), Applied) for name in names)
    other.apply(names[-1])
    assert [len(each.instances) for each in place.layouts] == [len(each.instances) for each in other.layouts]
    assert place.apply(names[-1]) == Applied()


def test_without_busy_devices_no_user_is_asked_for_when_nothing_is_destroyed(place: Place) -> None:
    place.apply("all-1g.10gb")
    assert (place.reads, place.leaving) == (0, [frozenset()])


def test_a_busy_device_prevents_every_destruction_and_its_user_is_named(place: Place) -> None:
    place.apply("all-1g.10gb")
    before = place.layouts
    busy = place.uuids[9]
    place.users = {busy: (POD,)}
    outcome = place.apply("all-3g.40gb")
    assert isinstance(outcome, Busy)
    assert outcome.message == f"pod ml/train-0 uses {busy}"
    assert place.layouts == before
    assert place.leaving[-1] == frozenset(place.uuids)


def test_devices_that_are_in_both_layouts_may_be_busy(place: Place) -> None:
    place.apply("all-1g.10gb")
    busy = place.uuids[3]
    place.users = {busy: (POD,)}
    assert isinstance(place.apply("mixed"), Applied)
    assert busy in place.uuids


def test_devices_that_must_go_are_offered_again_after_the_timeout(place: Place) -> None:
    place.apply("all-1g.10gb")
    place.users = {place.uuids[0]: (POD,)}
    place.apply("all-3g.40gb")
    assert isinstance(place.apply("all-3g.40gb", is_overdue=True), Busy)
    assert place.leaving[-1] == frozenset()


@pytest.mark.parametrize("policy", [BusyPolicy.EVICT, BusyPolicy.FORCE])
def test_while_pods_are_removed_their_devices_are_not_offered_again_after_the_timeout(
    place: Place, policy: BusyPolicy
) -> None:
    place.apply("all-1g.10gb")
    uuids = frozenset(place.uuids)
    place.users = {place.uuids[0]: (POD,)}
    place.leaving.clear()
    for _ in range(2):
        assert isinstance(place.apply("all-3g.40gb", policy, is_overdue=True), Busy)
    assert place.leaving == [uuids]


def test_devices_that_must_go_are_withheld_before_they_are_destroyed(place: Place) -> None:
    place.apply("all-1g.10gb")
    uuids = frozenset(place.uuids)
    place.leaving.clear()
    place.apply("all-3g.40gb")
    assert place.leaving == [uuids, frozenset()]


def test_a_pod_that_receives_a_device_after_the_plan_is_waited_for(place: Place) -> None:
    place.apply("all-1g.10gb")
    uuid = place.uuids[0]
    withhold = place._set_leaving

    def start_pod(uuids: frozenset[str]) -> None:
        withhold(uuids)
        place.users = {uuid: (POD,)}

    place._set_leaving = start_pod  # type: ignore[method-assign]
    assert isinstance(place.apply("all-3g.40gb"), Busy)
    assert uuid in place.uuids


@pytest.mark.parametrize(("policy", "verb"), [(BusyPolicy.EVICT, "evicted"), (BusyPolicy.FORCE, "deleted")])
def test_the_policy_removes_each_pod_once(place: Place, policy: BusyPolicy, verb: str) -> None:
    place.apply("all-1g.10gb")
    place.users = dict.fromkeys(place.uuids, (POD,))
    assert isinstance(place.apply("all-3g.40gb", policy), Busy)
    assert place.removed == [f"{verb} ml/train-0"]
    place.users = {}
    assert isinstance(place.apply("all-3g.40gb", policy), Applied)


def test_a_disruption_budget_is_named(place: Place) -> None:
    place.apply("all-1g.10gb")
    place.users = {place.uuids[0]: (POD,)}
    place.refuse = KubeError("Cannot evict pod as it would violate the pod's disruption budget.", status=429)
    outcome = place.apply("all-3g.40gb", BusyPolicy.EVICT)
    assert isinstance(outcome, Busy)
    assert "disruption budget" in outcome.message


def test_a_change_of_the_mode_waits_for_the_pods_of_the_whole_gpu(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", mode="disabled")
    place.users = {place.read()[1].uuid: (POD,)}
    assert isinstance(place.apply("all-1g.10gb"), Busy)
    assert place.uuids == []


def test_an_unknown_config_suggests_names_and_changes_nothing(place: Place) -> None:
    outcome = place.apply("all-1g.10g")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.INVALID
    assert "all-1g.10gb" in outcome.message


def test_a_journal_of_another_version_prevents_changes_and_stays(place: Place) -> None:
    place.journal.write_text('{"version": 2, "changes": []}')
    for config in ("all-1g.10gb", None):
        outcome = place.apply(config)
        assert isinstance(outcome, Failed)
        assert "has version 2" in outcome.message
    assert (place.calls, "2" in place.journal.read_text()) == ([], True)


def test_configs_that_are_not_read_yet_are_not_a_failure(place: Place) -> None:
    def select(*_: object) -> NoReturn:
        raise NotReadError("the ConfigMap is not read yet")

    changer = place.changer()
    changer._around = replace(changer._around, select=select)
    assert changer.run(Request(config="mixed")) == NotReady()
    assert place.calls == []


@pytest.mark.parametrize(("code", "has_driver"), [("DRIVER_NOT_LOADED", False), ("UNKNOWN", True)])
def test_a_failure_states_whether_the_driver_is_loaded(place: Place, code: str, has_driver: bool) -> None:
    def open_nvml() -> NoReturn:
        raise NvmlError("nvmlInit", code)

    place.open_nvml = open_nvml  # type: ignore[method-assign]
    outcome = place.apply("mixed")
    assert isinstance(outcome, Failed)
    assert outcome.has_driver is has_driver


def test_a_config_that_selects_a_gpu_that_cannot_be_read_is_not_invalid(place: Place) -> None:
    count = place.count

    def lose_a_gpu(name: str) -> None:
        count(name)
        names.append(name)
        if names.count("device_get_name") == 2:
            raise NvmlError("nvmlDeviceGetName", "GPU_IS_LOST")

    names: list[str] = []
    place.count = lose_a_gpu  # type: ignore[method-assign]
    outcome = place.apply("both")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.FAILED
    assert "nvmlDeviceGetName returned GPU_IS_LOST" in outcome.message
    assert place.calls == []


def test_during_a_release_nothing_is_changed(place: Place) -> None:
    place.is_released = True
    assert place.apply("mixed") == Released()
    assert place.calls == []


def test_a_failure_of_the_second_gpu_keeps_the_new_layout_of_the_first(place: Place) -> None:
    place.breaks_at, place.error = 1_000_000, NvmlError("nvmlGpuInstanceCreateComputeInstance", "UNKNOWN")
    creations = 0
    count = place.count

    def break_late(name: str) -> None:
        nonlocal creations
        count(name)
        creations += name == "device_create_gpu_instance"
        if creations == 3:
            raise place.error

    place.count = break_late  # type: ignore[method-assign]
    outcome = place.apply("all-3g.40gb")
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("GPU 1 ")
    assert [len(each.instances) for each in place.layouts] == [2, 0]


def test_a_gpu_of_the_ampere_generation_is_reset_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", compute="8.0", mode="disabled")
    outcome = place.apply("all-1g.10gb")
    assert isinstance(outcome, Applied), outcome
    assert [name for name in place.calls if name.startswith("reset")] == ["reset 0, 1"]


def test_a_reset_that_fails_restores_the_previous_mode(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", compute="8.0", mode="disabled")
    place.reset_error = MigError("GPU 0 is in use by another client")
    outcome = place.apply("all-1g.10gb")
    assert isinstance(outcome, Failed)
    assert "in use by another client" in outcome.message
    assert [(gpu.is_enabled, gpu.is_pending) for gpu in place.read()] == [(False, False)] * 2


def test_a_creation_that_fails_after_a_reset_restores_the_previous_mode_by_a_second_reset(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", compute="8.0", mode="disabled")
    count = place.count

    def fail(name: str) -> None:
        count(name)
        if name == "device_create_gpu_instance":
            raise NvmlError("nvmlDeviceCreateGpuInstanceWithPlacement", "UNKNOWN")

    place.count = fail  # type: ignore[method-assign]
    outcome = place.apply("all-1g.10gb")
    assert isinstance(outcome, Failed)
    assert "the previous layouts of GPU 0 " in outcome.message
    assert outcome.message.endswith("are restored")
    assert [(gpu.is_enabled, gpu.is_pending) for gpu in place.read()] == [(False, False)] * 2
    assert [name for name in place.calls if name.startswith("reset")] == ["reset 0, 1"] * 2


def layouts_of(folder: Path, *configs: str) -> tuple[Layout, ...]:
    """The layouts after these configs."""
    place = Place(folder / "whole.json", gpus=1)
    for config in configs:
        place.apply(config)
    return place.layouts


def count_changes(folder: Path, before: str, after: str) -> int:
    place = Place(folder / "whole.json", gpus=1)
    place.apply(before)
    place.calls.clear()
    place.apply(after)
    return len(place.calls)


@pytest.mark.parametrize(
    ("before", "after"), [("all-1g.10gb", "mixed"), ("mixed", "all-disabled"), ("all-enabled", "mixed")]
)
@pytest.mark.parametrize("is_label_removed", [False, True])
def test_a_process_that_is_killed_at_any_change_leaves_one_of_the_two_layouts(
    tmp_path: Path, before: str, after: str, is_label_removed: bool
) -> None:
    wanted, previous = (layouts_of(tmp_path, before, name) for name in (after, before))
    for number in range(1, count_changes(tmp_path, before, after) + 1):
        place = Place(tmp_path / f"{number}.json", gpus=1)
        place.apply(before)
        place.breaks_at = len(place.calls) + number
        with pytest.raises(Killed):
            place.apply(after)
        assert isinstance(place.apply(None if is_label_removed else after), Applied)
        assert place.layouts in ([wanted, previous] if is_label_removed else [wanted]), number
        assert not place.journal.exists()


def test_a_change_that_cannot_be_completed_after_a_restart_is_reverted(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", gpus=1)
    place.apply("all-1g.10gb")
    before = place.layouts
    calls = len(place.calls)
    place.apply("all-3g.40gb")
    length = len(place.calls) - calls
    place.apply("all-1g.10gb")
    place.breaks_at = len(place.calls) + length // 2
    with pytest.raises(Killed):
        place.apply("all-3g.40gb")
    count = place.count

    def refuse_large(name: str) -> None:
        count(name)
        if name == "device_create_gpu_instance" and not refused:
            refused.append(name)
            raise NvmlError("nvmlDeviceCreateGpuInstanceWithPlacement", "INSUFFICIENT_RESOURCES")

    refused: list[str] = []
    place.count = refuse_large  # type: ignore[method-assign]
    assert isinstance(place.apply(None), Applied)
    assert place.layouts == before


def test_after_a_reboot_an_interrupted_change_is_completed(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", gpus=1)
    place.apply("all-1g.10gb")
    place.breaks_at = len(place.calls) + 16
    with pytest.raises(Killed):
        place.apply("all-3g.40gb")
    booted = Place(tmp_path / "mig.json", gpus=1)
    assert isinstance(booted.apply(None), Applied)
    assert booted.apply("all-3g.40gb") == Applied()


def test_a_journal_that_names_a_gpu_that_was_removed_is_dropped(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json")
    place.breaks_at = 2
    with pytest.raises(Killed):
        place.apply("all-3g.40gb")
    place.journal.write_text(place.journal.read_text().replace("GPU-", "GPU-gone-"))
    place.breaks_at = 0
    assert isinstance(place.apply("all-1g.10gb"), Applied)
    assert not place.journal.exists()


def interrupt(place: Place, before: str, after: str, number: int) -> None:
    """Applies a config, and kills the process at a change of the next one."""
    place.apply(before)
    place.breaks_at = len(place.calls) + number
    with pytest.raises(Killed):
        place.apply(after)


def test_a_change_that_can_be_neither_completed_nor_reverted_does_not_prevent_another_config(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", gpus=1)
    interrupt(place, "all-1g.10gb", "all-3g.40gb", 16)
    content = place.journal.read_text()
    assert '"profile":' in content
    place.journal.write_text(re.sub('"profile":[0-9]+', '"profile":99', content))
    assert isinstance(place.apply(None), Failed)
    assert isinstance(place.apply("mixed"), Applied)
    assert not place.journal.exists()


def test_the_recovery_destroys_no_device_that_a_pod_uses(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", gpus=1)
    interrupt(place, "all-1g.10gb", "all-3g.40gb", 16)
    other = Place(tmp_path / "other.json", gpus=1)
    other.apply("all-balanced")
    other.users = dict.fromkeys(other.uuids, (POD,))
    before = other.layouts
    place.journal.rename(other.journal)
    changer = other.changer()
    read_usage, is_changing = changer._around.read_usage_of, []

    def observe_usage(nvml: Nvml, gpus: Iterable[Gpu]) -> Usage:
        is_changing.append(changer.progress.is_changing)
        return read_usage(nvml, gpus)

    changer._around = replace(changer._around, read_usage_of=observe_usage)
    outcome = changer.run(Request(config=None))
    assert isinstance(outcome, Failed)
    assert "pod ml/train-0 uses" in outcome.message
    assert other.layouts == before
    assert is_changing == [False, False]


def test_a_failure_of_a_later_gpu_restores_a_gpu_that_needs_a_reset(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", compute="8.0", mode="disabled")
    place.breaks_at, place.error = 2, NvmlError("nvmlDeviceSetMigMode", "UNKNOWN")
    outcome = place.apply("all-1g.10gb")
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("GPU 1 ")
    assert "the previous layouts of GPU 0 " in outcome.message
    assert [(gpu.is_enabled, gpu.is_pending) for gpu in place.read()] == [(False, False)] * 2


def test_a_rollback_that_fails_does_not_hide_why_the_reset_failed(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", compute="8.0", mode="disabled")
    place.reset_error = MigError("GPU 0 is in use by another client")
    place.breaks_at, place.error = 3, NvmlError("nvmlDeviceSetMigMode", "UNKNOWN")
    outcome = place.apply("all-1g.10gb")
    assert isinstance(outcome, Failed)
    assert "in use by another client" in outcome.message
    assert "are not restored" in outcome.message


def test_the_release_of_an_interrupted_reset_is_ended_before_nvml_is_opened(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json", gpus=1)
    interrupt(place, "all-1g.10gb", "all-3g.40gb", 16)
    place.is_released = True
    changer = place.changer()
    ended: list[bool] = []

    def end_reset() -> None:
        ended.append(place.is_released)
        place.is_released = False

    changer._around = replace(changer._around, end_reset=end_reset)
    request = Request(config="all-3g.40gb")
    assert isinstance(changer.run(request), Applied)
    assert isinstance(changer.run(request), Applied)
    assert ended == [True]


def test_a_change_that_is_not_recovered_stays_recorded_while_the_next_change_runs(tmp_path: Path) -> None:
    place = Place(tmp_path / "mig.json")
    interrupt(place, "all-1g.10gb", "all-3g.40gb", 16)
    place.journal.write_text(re.sub('"profile":[0-9]+', '"profile":99', place.journal.read_text()))
    count = place.count

    def kill(name: str) -> None:
        count(name)
        if name == "gpu_instance_create_compute_instance":  # the recovery fails before that
            raise Killed

    place.count = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        place.apply("first")
    assert [len(each.after.instances) for each in Journal(place.journal).read()] == [2, 7]


def test_a_change_that_is_not_recovered_stays_recorded_after_the_next_change(tmp_path: Path) -> None:
    """The process is killed when it reads the layouts again, before the requested config is reached."""
    place = Place(tmp_path / "mig.json")
    interrupt(place, "all-1g.10gb", "all-3g.40gb", 16)
    place.journal.write_text(re.sub('"profile":[0-9]+', '"profile":99', place.journal.read_text()))
    changer = place.changer()
    plan = changer._plan
    plans: list[Changes] = []

    def kill(request: Request) -> Changes:
        if plans:
            raise Killed
        plans.append(plan(request))
        return plans[0]

    changer._plan = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        changer.run(Request(config="first"))
    assert [len(each.after.instances) for each in Journal(place.journal).read()] == [2]
