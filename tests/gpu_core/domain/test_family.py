"""Architecture names by compute capability."""

import pytest

from gpu_core.domain.family import family
from gpu_core.domain.inventory import ComputeCapability

KNOWN = {
    "1.3": "tesla",
    "2.1": "fermi",
    "3.7": "kepler",
    "5.2": "maxwell",
    "6.0": "pascal",
    "7.0": "volta",
    "7.2": "volta",
    "7.5": "turing",
    "8.0": "ampere",
    "8.6": "ampere",
    "8.9": "ada-lovelace",
    "9.0": "hopper",
    "10.0": "blackwell",
    "11.0": "blackwell",
    "12.0": "blackwell",
    "13.0": "rubin",
}


@pytest.mark.parametrize(("version", "name"), KNOWN.items(), ids=KNOWN)
def test_a_compute_capability_has_its_architecture(version: str, name: str) -> None:
    major, minor = map(int, version.split("."))
    assert family(ComputeCapability(major=major, minor=minor)) == name


@pytest.mark.parametrize("major", [4, 14, 99])
def test_an_unknown_compute_capability_is_undefined(major: int) -> None:
    assert family(ComputeCapability(major=major, minor=0)) == "undefined"
