"""The fingerprint of pods, and its hash."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.topology.fingerprint import fingerprint, xxh64

PODS = [("ns1", "n1"), ("ns1", "n2"), ("ns2", "n1"), ("ns3", "n1"), ("ns3", "n2")]


def test_the_fingerprint_is_that_of_the_project_podfingerprint() -> None:
    """The value is in the project's example of its debug output."""
    assert fingerprint(PODS) == "pfp0v001b92008c14168b3a6"


@pytest.mark.parametrize(
    ("content", "seed", "value"),
    [
        pytest.param(b"", 0, 0xEF46DB3751D8E999, id="nothing"),
        pytest.param(b"a", 0, 0xD24EC4F1A98C6E5B, id="one byte"),
        pytest.param(b"abc", 0, 0x44BC2CF5AD770999, id="three bytes"),
        pytest.param(b"xxhash", 20141025, 0xB559B98D844E0635, id="a seed"),
        pytest.param(b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1, id="more than 32 bytes"),
    ],
)
def test_the_hash_is_xxh64(content: bytes, seed: int, value: int) -> None:
    """The values are published by the project xxHash and its bindings."""
    assert xxh64(content, seed=seed) == value


def test_a_node_without_pods_has_a_fingerprint() -> None:
    assert fingerprint([]) == "pfp0v001ef46db3751d8e999"


pods = st.lists(st.tuples(st.text("ab-1", min_size=1, max_size=40), st.text("ab-1", min_size=1, max_size=70)))


@given(pods, st.randoms(use_true_random=False))
def test_the_order_of_the_pods_has_no_effect(found: list[tuple[str, str]], rng: random.Random) -> None:
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert fingerprint(shuffled) == fingerprint(found)


@given(pods.filter(bool))
def test_every_pod_changes_the_fingerprint(found: list[tuple[str, str]]) -> None:
    assert fingerprint(found[1:]) != fingerprint(found)


def test_namespace_and_name_are_not_exchanged() -> None:
    assert fingerprint([("a", "b")]) != fingerprint([("b", "a")])
