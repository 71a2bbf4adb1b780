"""Labels that are removed from the Node."""

import pytest
from structlog.testing import capture_logs

from device_plugin.label_retainer import LabelRetainer


def has_due(retainer: LabelRetainer) -> bool:
    return retainer.due is not None


def test_a_removed_label_is_retained_until_the_delay_ends() -> None:
    retainer = LabelRetainer()
    assert retainer.retain({}, ["a"], 0.0, 30.0) == {}, "a label that was never there is not retained"
    retainer.retain({"a": "1", "b": "2"}, ["a"], 1.0, 30.0)
    with capture_logs() as lines:
        for now in (10.0, 20.0, 39.0):
            assert retainer.retain({"c": "3"}, ["a"], now, 30.0) == {"a": "1", "c": "3"}
        assert retainer.due == 40.0
        assert retainer.retain({}, ["a"], 40.0, 30.0) == {}
        assert not has_due(retainer)
        assert retainer.retain({}, ["a"], 41.0, 30.0) == {}
    assert [line["event"] for line in lines] == ["label_removed"]


def test_a_restored_label_starts_the_delay_again_and_another_value_counts_at_once() -> None:
    retainer = LabelRetainer()
    retainer.retain({"a": "1"}, ["a"], 0.0, 30.0)
    retainer.retain({}, ["a"], 1.0, 30.0)
    assert retainer.retain({"a": "2"}, ["a"], 2.0, 30.0) == {"a": "2"}
    assert not has_due(retainer)
    assert retainer.retain({}, ["a"], 31.0, 30.0) == {"a": "2"}


@pytest.mark.parametrize(("seconds", "retained"), [(0.0, {}), (None, {"a": "1"})])
def test_the_delay_can_be_zero_or_infinite(seconds: float | None, retained: dict[str, str]) -> None:
    retainer = LabelRetainer()
    retainer.retain({"a": "1"}, ["a"], 0.0, seconds)
    assert retainer.retain({}, ["a"], 1e9, seconds) == retained
    assert not has_due(retainer)
