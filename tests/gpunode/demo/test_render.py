"""The output of the demo in terminals of all widths."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from gpunode.demo.feed import Line
from gpunode.demo.render import render_command, render_labels, render_line, render_manifest, render_rows

KEY = "feature.node.kubernetes.io/kernel-version.full"


def rendered(width: int, renderable: RenderableType, *, soft_wrap: bool = False) -> str:
    console = Console(file=StringIO(), width=width)
    with console.capture() as captured:
        console.print(renderable, soft_wrap=soft_wrap)
    return captured.get()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (Line(source="gfd", subject="k", text="8", kind="+"), "10:00:00  gfd               k  + 8"),
        (Line(source="gfd", subject="k", text="8", kind="-"), "10:00:00  gfd               k  - 8"),
        (Line(source="kubectl-label", subject="k", text="8 -> 7", kind="~"), "10:00:00  kubectl-label     k  8 -> 7"),
    ],
)
def test_a_change_is_one_line_of_a_wide_terminal(line: Line, shown: str) -> None:
    assert rendered(100, render_line(line, "10:00:00", 100)).rstrip() == shown


def test_a_change_is_wrapped_below_its_text_in_a_narrow_terminal() -> None:
    line = Line(source="gfd", subject="nvidia.com/gpu.product", text="A -> B", kind="~")
    first, *rest = (each.rstrip() for each in rendered(24, render_line(line, "10:00:00", 24)).splitlines())
    assert first == "10:00:00  gfd"
    assert rest == [" " * 10 + part for part in ("nvidia.com/gpu", ".product  A ->", "B")]


def test_rows_have_two_columns_if_the_terminal_is_wide_enough() -> None:
    assert rendered(80, render_rows({"name": "value"})).rstrip() == "  name  value"
    assert rendered(40, render_rows({KEY: "6.18"})).split() == [KEY[:38], KEY[38:], "6.18"]


@pytest.mark.parametrize("width", [1, 5, 10, 20, 40, 60, 80, 200])
def test_nothing_is_lost_at_any_width(width: int) -> None:
    labels = {KEY: "6.18.44-fc-v769", "nvidia.com/gpu.count": "8"}
    line = Line(source="kubectl-label", subject=KEY, text="6.18.44-fc-v769", kind="+")
    for renderable in (render_labels(labels, "gfd"), render_rows(labels), render_line(line, "10:00:00", width)):
        shown = "".join(rendered(width, renderable).split())
        assert width < 15 or "6.18.44-fc-v769" in shown.replace("10:00:00", "")
        assert width < 15 or KEY in shown


def test_a_command_and_a_manifest_are_not_cut_so_that_they_can_be_copied() -> None:
    command = "export KUBECONFIG=/tmp/gpunode-demo-1xr8s28h/kubeconfig"
    assert rendered(20, render_command(command), soft_wrap=True) == f"  {command}\n"
    selector = "nodeSelector:\n  nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3\n"
    assert rendered(20, render_manifest(selector), soft_wrap=True).splitlines() == [
        "  nodeSelector:", "    nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3",
    ]  # fmt: skip


def test_cpu_flags_are_one_paragraph() -> None:
    flags = {f"feature.node.kubernetes.io/cpu-cpuid.{name}": "true" for name in ("ADX", "AVX")}
    shown = rendered(100, render_labels(flags, "nfd-lite"))
    assert "cpu-cpuid.*  2 labels with the value true:" in shown
    assert "ADX AVX" in shown


def test_texts_of_other_programs_are_not_markup() -> None:
    assert "[red]x[/red]" in rendered(
        80, render_line(Line(source="[b]", subject="[a]", text="[red]x[/red]"), "10:00:00", 80)
    )
