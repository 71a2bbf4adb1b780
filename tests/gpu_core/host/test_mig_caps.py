"""Parsing the MIG capabilities that the kernel module lists."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.mig_caps import MIG_MINORS, MigCaps, mig_capabilities, parse_mig_minors, read_mig_caps
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import lay_out

MINORS = "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\ngpu12/gi1/access 1632\n"


def test_a_mig_device_has_a_node_for_each_of_its_two_instances() -> None:
    caps = parse_mig_minors(MINORS)
    nodes = [caps.node(capability) for capability in mig_capabilities(0, 1, 0)]
    assert nodes == ["/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13"]


def test_a_capability_that_is_not_listed_has_no_node() -> None:
    caps = parse_mig_minors(MINORS)
    assert [caps.node(capability) for capability in mig_capabilities(12, 1, 0)] == [
        "/dev/nvidia-caps/nvidia-cap1632",
        None,
    ]
    assert [caps.node(capability) for capability in mig_capabilities(1, 1, 0)] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "gpu0/gi1/access",
        "gpu0/gi1/access twelve",
        "gpu0/gi1/access -1",
        "gpu0/gi1/access 12 13",
        "gpu0 gi1 12",
        "\0",
    ],
)
def test_a_line_of_another_form_is_ignored(text: str) -> None:
    assert parse_mig_minors(text + "\nconfig 1\n") == MigCaps(minors={"config": 1})


@given(st.text(max_size=300))
def test_any_text_can_be_parsed(text: str) -> None:
    assert all(minor >= 0 for minor in parse_mig_minors(text).minors.values())


@given(st.dictionaries(st.from_regex(r"gpu\d{1,2}/gi\d{1,2}/(ci\d/)?access", fullmatch=True), st.integers(0, 9999)))
def test_every_listed_capability_is_read(minors: dict[str, int]) -> None:
    text = "".join(f"{name} {minor}\n" for name, minor in minors.items())
    assert parse_mig_minors(text).minors == minors


def test_a_host_without_mig_has_no_capabilities(tmp_path: Path) -> None:
    assert read_mig_caps(HostRoot(tmp_path)) == MigCaps()


def test_an_unreadable_list_is_an_error(tmp_path: Path) -> None:
    lay_out(tmp_path, f"{MIG_MINORS}/")
    with pytest.raises(HostReadError, match="mig-minors"):
        read_mig_caps(HostRoot(tmp_path))
