"""An Xid that NVML and the kernel's log both tell is told once, whichever is first; nothing that one of them alone tells is lost."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress
from node_core.host.xid_twice import HOLD, MOST_HELD, SAME, ToldTwice

GPU, OTHER = GpuUuid("GPU-1"), GpuUuid("GPU-2")
NAMES = {PciAddress("0000:01:00.0"): GPU, PciAddress("0000:02:00.0"): OTHER}
ADDRESS, STRANGE = PciAddress("0000:01:00.0"), PciAddress("0000:99:00.0")


def nvml(at: float, xid: int = 79, gpu: GpuUuid = GPU, instance: int | None = None) -> XidEvent:
    return XidEvent(xid=xid, gpu=gpu, gpu_instance=instance, at=at)


def logged(at: float, xid: int = 79, address: PciAddress = ADDRESS) -> XidEvent:
    return XidEvent(xid=xid, address=address, source="kernel log", at=at)


def play(*events: XidEvent) -> list[XidEvent]:
    """All that is told, with the time between events spent."""
    twice = ToldTwice(NAMES.get)
    told: list[XidEvent] = []
    for event in sorted(events, key=lambda each: each.at):
        while (due := twice.next_due()) is not None and due <= event.at:
            told += twice.take_due(due)
        told += twice.from_nvml(event) if event.source == "nvml" else twice.from_log(event)
    while (due := twice.next_due()) is not None:
        told += twice.take_due(due)
    return told


def sources(told: Iterable[XidEvent]) -> list[tuple[str, int]]:
    return [(event.source, event.xid) for event in told]


def test_the_log_first_and_nvml_soon_after_is_nvmls_which_knows_the_mig_device() -> None:
    assert play(logged(10.0), nvml(10.02, instance=3)) == [nvml(10.02, instance=3)]


def test_nvml_first_and_the_log_after_is_nvmls() -> None:
    assert play(nvml(10.0), logged(10.0 + SAME)) == [nvml(10.0)]


def test_what_the_log_alone_tells_is_told_after_a_moment_with_its_gpu() -> None:
    (event,) = play(logged(10.0))
    assert (event.gpu, event.address, event.source) == (GPU, ADDRESS, "kernel log")


def test_nvml_that_is_late_repeats_what_the_log_has_told() -> None:
    assert sources(play(logged(10.0), nvml(10.0 + HOLD + 0.1))) == [("kernel log", 79)]


def test_what_was_not_told_hides_nothing() -> None:
    assert sources(play(logged(0.0), nvml(1.0), logged(3.0))) == [("kernel log", 79), ("kernel log", 79)]


def test_two_seconds_apart_are_two() -> None:
    assert sources(play(nvml(10.0), logged(10.1 + SAME))) == [("nvml", 79), ("kernel log", 79)]
    assert sources(play(logged(10.0), nvml(10.1 + SAME))) == [("kernel log", 79), ("nvml", 79)]


def test_another_xid_or_another_gpu_is_another_event() -> None:
    assert len(play(nvml(10.0), logged(10.0, xid=48))) == 2
    assert len(play(nvml(10.0, gpu=OTHER), logged(10.0))) == 2
    assert len(play(nvml(10.0), logged(10.0, address=STRANGE))) == 2


def test_an_address_that_nobody_knows_is_told_as_it_is() -> None:
    (event,) = play(logged(10.0, address=STRANGE))
    assert (event.gpu, event.address) == (None, STRANGE)


def test_a_flood_is_not_held_without_bound() -> None:
    twice = ToldTwice(NAMES.get)
    told = [each for number in range(MOST_HELD + 500) for each in twice.from_log(logged(10.0, xid=number + 1))]
    assert len(told) == MOST_HELD + 1
    assert len(twice._held) <= MOST_HELD


EVENTS = st.tuples(st.floats(0, 20), st.sampled_from([31, 79]), st.sampled_from([GPU, OTHER]), st.booleans())


@given(st.lists(EVENTS, max_size=25))
def test_every_xid_is_told_by_one_of_its_sources_within_the_window(
    events: list[tuple[float, int, GpuUuid, bool]],
) -> None:
    addresses = {uuid: address for address, uuid in NAMES.items()}
    made = [logged(at, xid, addresses[gpu]) if from_log else nvml(at, xid, gpu) for at, xid, gpu, from_log in events]
    told = play(*made)
    assert len(told) <= len(made)
    for at, xid, gpu, _ in events:
        assert any((each.xid, each.gpu) == (xid, gpu) and abs(each.at - at) <= SAME for each in told)
