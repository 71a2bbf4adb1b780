"""An Xid that both NVML and the kernel log report is reported once, in any order. An Xid from one source only is never lost."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from gpu_core.host.xid_dedup import DELAY, MAX_DELAYED, SAME, XidDeduplicator
from node_core.domain.pci import PciAddress

GPU, OTHER = GpuUuid("GPU-1"), GpuUuid("GPU-2")
NAMES = {PciAddress("0000:01:00.0"): GPU, PciAddress("0000:02:00.0"): OTHER}
ADDRESS, STRANGE = PciAddress("0000:01:00.0"), PciAddress("0000:99:00.0")


def nvml(at: float, xid: int = 79, gpu: GpuUuid = GPU, instance: int | None = None) -> XidEvent:
    return XidEvent(xid=xid, gpu=gpu, gpu_instance=instance, at=at)


def logged(at: float, xid: int = 79, address: PciAddress = ADDRESS) -> XidEvent:
    return XidEvent(xid=xid, address=address, source="kernel log", at=at)


def play(*events: XidEvent) -> list[XidEvent]:
    """All reported events. Time advances between the events."""
    deduplicator = XidDeduplicator(NAMES.get)
    reported: list[XidEvent] = []
    for event in sorted(events, key=lambda each: each.at):
        while (due := deduplicator.next_due()) is not None and due <= event.at:
            reported += deduplicator.pop_due(due)
        reported += deduplicator.from_nvml(event) if event.source == "nvml" else deduplicator.from_log(event)
    while (due := deduplicator.next_due()) is not None:
        reported += deduplicator.pop_due(due)
    return reported


def sources(reported: Iterable[XidEvent]) -> list[tuple[str, int]]:
    return [(event.source, event.xid) for event in reported]


def test_an_xid_of_the_log_is_dropped_if_nvml_reports_it_soon_after() -> None:
    assert play(logged(10.0), nvml(10.02, instance=3)) == [nvml(10.02, instance=3)]


def test_an_xid_of_the_log_is_dropped_if_nvml_reported_it_before() -> None:
    assert play(nvml(10.0), logged(10.0 + SAME)) == [nvml(10.0)]


def test_an_xid_of_the_log_alone_is_reported_after_the_delay() -> None:
    (event,) = play(logged(10.0))
    assert (event.gpu, event.address, event.source) == (GPU, ADDRESS, "kernel log")


def test_an_xid_of_nvml_is_dropped_if_the_log_was_reported() -> None:
    assert sources(play(logged(10.0), nvml(10.0 + DELAY + 0.1))) == [("kernel log", 79)]


def test_a_dropped_xid_hides_no_later_xid() -> None:
    assert sources(play(logged(0.0), nvml(1.0), logged(3.0))) == [("kernel log", 79), ("kernel log", 79)]


def test_xids_more_than_two_seconds_apart_are_two() -> None:
    assert sources(play(nvml(10.0), logged(10.1 + SAME))) == [("nvml", 79), ("kernel log", 79)]
    assert sources(play(logged(10.0), nvml(10.1 + SAME))) == [("kernel log", 79), ("nvml", 79)]


def test_another_xid_or_another_gpu_is_a_separate_event() -> None:
    assert len(play(nvml(10.0), logged(10.0, xid=48))) == 2
    assert len(play(nvml(10.0, gpu=OTHER), logged(10.0))) == 2
    assert len(play(nvml(10.0), logged(10.0, address=STRANGE))) == 2


def test_an_unknown_address_is_reported_unchanged() -> None:
    (event,) = play(logged(10.0, address=STRANGE))
    assert (event.gpu, event.address) == (None, STRANGE)


def test_the_number_of_delayed_xids_is_limited() -> None:
    deduplicator = XidDeduplicator(NAMES.get)
    reported = [
        each for number in range(MAX_DELAYED + 500) for each in deduplicator.from_log(logged(10.0, xid=number + 1))
    ]
    assert len(reported) == MAX_DELAYED + 1
    assert len(deduplicator._delayed) <= MAX_DELAYED


EVENTS = st.tuples(st.floats(0, 20), st.sampled_from([31, 79]), st.sampled_from([GPU, OTHER]), st.booleans())


@given(st.lists(EVENTS, max_size=25))
def test_every_xid_is_reported_within_the_window(
    events: list[tuple[float, int, GpuUuid, bool]],
) -> None:
    addresses = {uuid: address for address, uuid in NAMES.items()}
    made = [logged(at, xid, addresses[gpu]) if from_log else nvml(at, xid, gpu) for at, xid, gpu, from_log in events]
    reported = play(*made)
    assert len(reported) <= len(made)
    for at, xid, gpu, _ in events:
        assert any((each.xid, each.gpu) == (xid, gpu) and abs(each.at - at) <= SAME for each in reported)


def test_a_delayed_xid_belongs_to_the_gpu_that_has_its_address_later() -> None:
    deduplicator = XidDeduplicator(NAMES.get)
    assert deduplicator.from_log(logged(10.0, address=STRANGE)) == ()
    deduplicator.add_name(STRANGE, GPU)
    assert deduplicator.from_nvml(nvml(10.02)) == (nvml(10.02),)
    assert deduplicator.next_due() is None


def test_reported_xids_are_forgotten_after_the_window() -> None:
    deduplicator = XidDeduplicator(NAMES.get)
    deduplicator.from_nvml(nvml(10.0))
    deduplicator.from_log(logged(10.0, xid=31))
    assert deduplicator.pop_due(10.0 + DELAY) != ()
    assert (len(deduplicator._by_nvml), len(deduplicator._by_log)) == (1, 1)
    deduplicator.pop_due(10.1 + SAME)
    assert (len(deduplicator._by_nvml), len(deduplicator._by_log)) == (0, 0)
