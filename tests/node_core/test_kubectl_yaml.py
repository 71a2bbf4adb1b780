"""Values without quotes have the types that kubectl gives them. The expected values are those of kubectl 1.34."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from node_core.kubectl_yaml import KubectlLoader, WrittenFloat, WrittenInt, dump_yaml

READ: dict[str, Any] = {
    "1e04": 1e4,
    "0180": 180.0,
    "0892": 892.0,
    "08": 8.0,
    "0_8": 8.0,
    "1.": 1.0,
    ".5": 0.5,
    "+.5": 0.5,
    "1E5": 1e5,
    "1e4_0": 1e40,
    "0e1": 0.0,
    "1_.5": 1.5,
    "18446744073709551616": 18446744073709551616.0,
    "0o17": 15,
    "0O17": 15,
    "0x1f": 31,
    "0X1F": 31,
    "+0x1f": 31,
    "-0x1f": -31,
    "010": 8,
    "-010": -8,
    "00": 0,
    "1_000": 1000,
    "1__0": 10,
    "0__1": 1,
    "+_1": 1,
    "0_x1": 1,
    "0b101": 5,
    "-0b1": -1,
    "+1": 1,
    "-1": -1,
    "y": True,
    "Y": True,
    "yes": True,
    "on": True,
    "True": True,
    "n": False,
    "N": False,
    "OFF": False,
    "no": False,
    "~": None,
    "null": None,
    "Null": None,
}
TEXT_WORDS = (
    "2001-01-01 2001-01-01T00:00:00Z 12:30 12:30:45 10de 15b3 1.5.2 = 0x 0x_ 1e_ 1e _1 ._5 tRUE nULL 0xg v1 0180a . 0b2"
)
TEXT = (*TEXT_WORDS.split(), "1e1000", "0x1ffffffffffffffffffff")


@pytest.mark.parametrize(("written", "value"), READ.items())
def test_a_value_that_is_not_text(written: str, value: Any) -> None:
    read = yaml.load(written, KubectlLoader)  # noqa: S506 - a safe loader
    assert (read, isinstance(read, bool)) == (value, isinstance(value, bool))
    assert isinstance(read, WrittenInt | WrittenFloat) is (type(value) in (int, float))
    assert getattr(read, "text", written) == written


@pytest.mark.parametrize("written", TEXT)
def test_a_value_that_is_text(written: str) -> None:
    assert yaml.load(written, KubectlLoader) == written  # noqa: S506 - a safe loader


@given(st.one_of(st.text(), st.text("0123456789abcdefxXoOeE_.+-~ynYNTF:"), st.sampled_from((*READ, *TEXT))))
def test_every_text_is_written_so_that_kubectl_and_others_read_the_same_text(text: str) -> None:
    written = dump_yaml({text: [text]})
    for loader in (KubectlLoader, yaml.SafeLoader, yaml.CSafeLoader):
        assert yaml.load(written, loader) == {text: [text]}  # noqa: S506 - safe loaders
