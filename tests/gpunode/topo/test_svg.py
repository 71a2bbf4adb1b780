"""The picture as SVG: well-formed, escaped, with texts for screen readers."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from gpu_core.domain.inventory import Inventory
from gpunode.topo.links import describe_topology
from gpunode.topo.svg import render_svg
from node_core.values import replace
from tests.conftest import Golden
from tests.device_plugin.conftest import make_gpu
from tests.gpunode.topo.topologies import inventories, topology
from tests.gpunode.verbs import run_verb

SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - the picture is our own


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in parse(svg).iter(f"{SVG}text")]


@given(inventories())
def test_the_picture_of_any_node_is_well_formed(inventory: Inventory) -> None:
    root = parse(render_svg(describe_topology(inventory, {})))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert (width, height) == (float(root.attrib["width"]), float(root.attrib["height"]))


def test_hostile_texts_are_escaped() -> None:
    hostile = "</text><script>alert(1)</script>&\x1b[31m\x00\ud800"
    gpu = replace(make_gpu(0, ["<b>"], numa=0), model=hostile)
    svg = render_svg(replace(topology(gpu), cpus={0: "<i>&\x07"}))
    root = parse(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "\x1b" not in svg
    assert any(text.startswith("</text><script>") for text in texts(svg))
    assert "NUMA node 0, CPUs <i>&?" in texts(svg)


def test_the_picture_has_a_title_and_a_description() -> None:
    svg = render_svg(
        topology(make_gpu(0, numa=0, links={1: 4}), make_gpu(1, numa=0, links={0: 4}), make_gpu(2, numa=1))
    )
    root = parse(svg)
    named = {each.attrib["id"]: each.text for each in root if "id" in each.attrib}
    assert root.attrib["role"] == "img"
    assert [*named] == root.attrib["aria-labelledby"].split()
    assert named["gpunode-title"] == "3 GPUs on 2 NUMA nodes"
    assert str(named["gpunode-description"]).startswith(
        "GPU 0, NVIDIA H100 80GB HBM3, on NUMA node 0, NV4 to GPU 1, SYS to GPU 2. GPU 1,"
    )


def test_colours_of_dark_pages_are_defined_for_each_class() -> None:
    svg = render_svg(topology(make_gpu(0)))
    light, dark = svg.partition("</style>")[0].split("@media (prefers-color-scheme: dark)")
    for name in (
        "page",
        "group",
        "box",
        "chip",
        "chosen",
        "text",
        "small",
        "link",
        "switch",
        "link-text",
        "pci",
        "pci-text",
    ):
        assert f".gpunode-{name}{{" in light
        assert f".gpunode-{name}{{" in dark


def test_more_links_are_a_wider_line() -> None:
    svg = render_svg(topology(make_gpu(0, links={1: 1, 2: 4}), make_gpu(1), make_gpu(2)))
    paths = [each for each in parse(svg).iter(f"{SVG}path") if each.attrib["class"] == "gpunode-link"]
    assert sorted(float(each.attrib["stroke-width"]) for each in paths) == [1.5, 3.0]
    assert sorted(text for text in texts(svg) if text in ("NV1", "NV4")) == ["NV1", "NV4"]


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("h100x8", ("--simulate", "h100x8", "--request", "2")),
        (
            "mig",
            (
                "--simulate",
                "h100x8-mig-mixed",
                "--mig-strategy",
                "mixed",
                "--resource",
                "mig-1g.10gb",
                "--request",
                "2",
            ),
        ),
        ("mixed-models", ("--simulate", "mixed-models")),
    ],
    ids=["NVSwitch", "MIG devices", "NVLink bridges"],
)
def test_the_picture_of_a_scenario_is_the_golden_file(name: str, arguments: tuple[str, ...], golden: Golden) -> None:
    result = run_verb("topo", *arguments, "-o", "svg")
    assert result.exit_code == 0, result.stderr
    golden(f"gpunode/topo-{name}.svg", result.stdout)
