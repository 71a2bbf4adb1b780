"""Text for a terminal: no line is wider than the terminal, and nothing is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpunode.labels.explain import Explanation
from gpunode.labels.published import Label
from gpunode.labels.reason import Reason
from gpunode.labels.render import fold_labels, render_explanation, render_labels
from gpunode.output.terminal import Terminal
from node_core.domain.label_declaration import LabelDeclaration

KEY = "feature.node.kubernetes.io/kernel-version.full"
LABEL = Label(key=KEY, value="6.8.0-45-generic", agent="nfd-lite", source="/proc/sys/kernel/osrelease")
TEXT = st.text(alphabet="abc-/=. ", min_size=1, max_size=90).map(str.strip).filter(bool)
NAMES = st.text(alphabet="abc-.", min_size=1, max_size=63)


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (66, [f"  {KEY}=6.8.0-45-generic"]),
        (60, ["  feature.node.kubernetes.io/", "    kernel-version.full=6.8.0-45-generic"]),
        (36, ["  feature.node.kubernetes.io/", "    kernel-version.full=", "      6.8.0-45-generic"]),
        (20, ["  feature.node.kuber", "  netes.io/", "    kernel-version.f", "    ull=6.8.0-45-gen", "    eric"]),
    ],
)
def test_a_label_is_folded_after_the_prefix_and_the_equals_sign(width: int, lines: list[str]) -> None:
    assert fold_labels([(KEY, "6.8.0-45-generic")], width) == lines


def test_labels_with_the_same_prefix_have_the_prefix_once() -> None:
    pairs = [("a.example/one", "1"), ("a.example/two", "2" * 30), ("b.example/three", "3")]
    folded = ["  a.example/", "    one=1", "    two=", "      " + "2" * 30, "  b.example/", "    three=3"]
    assert fold_labels(pairs, 36) == folded


@given(pairs=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4), width=st.integers(20, 120))
def test_folding_loses_no_letter(pairs: list[tuple[str, str]], width: int) -> None:
    lines = fold_labels([(f"x/{key}", value) for key, value in pairs], width)
    assert max(map(len, lines)) <= width
    joined = "".join(line.strip() for line in lines)
    at = 0
    for key, value in pairs:
        at = joined.index(f"{key}={value}", at)


@given(source=TEXT, why=TEXT, value=NAMES, width=st.integers(30, 120))
def test_no_line_is_wider_than_the_terminal(source: str, why: str, value: str, width: int) -> None:
    terminal = Terminal(width=width, is_interactive=True)
    declared = LabelDeclaration(key=KEY, value=why, source=source, presence="always")
    label = Label(key=KEY, value=value, agent="gfd", source=source, meaning=why, overridden=(LABEL,))
    missing = Explanation(key=KEY, declared=declared, reasons=(Reason(agent="gfd", why=why, evidence=(source,)),))
    for lines in (
        render_labels([label, LABEL], terminal),
        render_explanation(Explanation(key=KEY, labels=(label,)), terminal),
        render_explanation(missing, terminal),
    ):
        assert max(map(len, lines)) <= width


def test_a_table_that_fits_is_a_table() -> None:
    assert render_labels([LABEL], Terminal(width=110))[0].split() == ["LABEL", "VALUE", "AGENT", "SOURCE"]
    assert render_labels([LABEL], Terminal(width=100))[0] == "nfd-lite: /proc/sys/kernel/osrelease"
    assert render_labels([], Terminal(width=40)) == []


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = "a\x1b[31m\nb"
    label = Label(key=evil, value=evil, agent="nfd-lite", source=evil, meaning=evil, overridden=(LABEL,))
    reason = Reason(agent="nfd-lite", why=evil, evidence=(evil,))
    for width in (40, 1000):
        terminal = Terminal(width=width)
        for lines in (
            render_labels([label], terminal),
            render_explanation(Explanation(key=evil, labels=(label,)), terminal),
            render_explanation(Explanation(key=evil, reasons=(reason,), nearest=(evil,)), terminal),
        ):
            assert lines
            assert all(line.isprintable() for line in lines)
