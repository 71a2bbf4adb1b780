"""The label that has to be there before anything is served."""

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
def test_the_gate_is_open_while_the_label_says_so(text: str, labels: dict[str, str], *, is_open: bool) -> None:
    assert parse_gate(text).is_open(labels) is is_open


def test_nfd_lites_label_is_the_gate_if_nothing_is_said() -> None:
    assert Gate() == parse_gate("nvidia.com/gpu.present=true")


@pytest.mark.parametrize("text", ["=true", "a b", "x=y z", "/x"])
def test_what_is_no_label_is_no_gate(text: str) -> None:
    with pytest.raises(ValueError, match="is no label"):
        parse_gate(text)
