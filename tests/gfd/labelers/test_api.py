"""The declarations match the labels in the golden files. The documentation is generated from the declarations."""

from pathlib import Path

import pytest

from gfd.labelers import DECLARED
from node_core.domain.labels import SIMULATED

GOLDEN = Path(__file__).parents[2] / "golden" / "gfd"
SEEN = frozenset(
    line.partition("=")[0] for file in GOLDEN.glob("*.txt") for line in file.read_text().splitlines() if line
) | {SIMULATED}
"""With the label that gfd adds to the labels of the labelers."""


@pytest.mark.parametrize("key", sorted(SEEN))
def test_every_label_in_a_golden_file_is_declared_once(key: str) -> None:
    assert len([each.key for each in DECLARED if each.matches(key)]) == 1


@pytest.mark.parametrize("declared", DECLARED, ids=lambda each: each.key)
def test_every_declared_label_is_in_a_golden_file(declared: object) -> None:
    assert any(each.matches(key) for each in DECLARED if each is declared for key in SEEN)
