"""The gate label."""

import pytest

from device_plugin.gate import Gate, parse_gate

PRESENT = {"nvidia.com/gpu.present": "true"}


@pytest.mark.parametrize(
    ("text", "labels", "is_open"),
    [
        ("nvidia.com/gpu.present=true", PRESENT, True),
        ("nvidia.com/gpu.present=true", {"nvidia.com/gpu.present": "false"}, False),
        ("nvidia.com/gpu.present", PRESENT, True),
        ("pool=gpus", {"pool": "gpus"}, True),
        ("pool=gpus", PRESENT, False),
        ("", {}, True),
    ],
)
def test_the_gate_is_open_while_the_label_has_its_value(text: str, labels: dict[str, str], *, is_open: bool) -> None:
    assert parse_gate(text).is_open(labels) is is_open


def test_the_default_gate_is_the_label_of_nfd_lite() -> None:
    assert Gate() == parse_gate("nvidia.com/gpu.present=true")


@pytest.mark.parametrize("text", ["=true", "a b", "x=y z", "/x"])
def test_an_invalid_label_is_not_a_gate(text: str) -> None:
    with pytest.raises(ValueError, match="is not a label"):
        parse_gate(text)


def test_a_closed_gate_reports_the_missing_labels() -> None:
    gate = Gate()
    assert gate.problem(PRESENT) is None
    assert gate.problem({}) == "the Node does not have the label nvidia.com/gpu.present=true"
    assert gate.problem({gate.key: "no"}) == "the label nvidia.com/gpu.present of the Node is 'no', not 'true'"
