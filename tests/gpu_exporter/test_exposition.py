"""The text formats of Prometheus, as Prometheus reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gpu_exporter.counters_file import FieldType
from gpu_exporter.exposition import MAX_VALUE, Exposition, join_labels, render_labels, render_number

FORMATS = pytest.mark.parametrize("is_openmetrics", [False, True], ids=["text", "openmetrics"])
HOSTILE = ['say "no"', "two\nlines", "back\\slash", "\\n", 'a",gpu="1', "\x1b[2J", "\x00", "\ud800", "\u202e", "é", ""]


def render(name: str, kind: FieldType, value: str, number: float, *, is_openmetrics: bool, help_text: str = "h") -> str:
    exposition = Exposition(is_openmetrics=is_openmetrics)
    exposition.add(name, kind, help_text, [(render_labels([("label", value)]), number)])
    return exposition.render().decode()


def read(text: str, *, is_openmetrics: bool) -> tuple[str, str, dict[str, str], float]:
    """The type, the help, the labels and the value of the only sample."""
    (family,) = parse_openmetrics(text) if is_openmetrics else parse_text(text)
    (sample,) = family.samples
    return family.type, family.documentation, sample.labels, sample.value


def shown(value: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in value)


@FORMATS
@pytest.mark.parametrize("value", HOSTILE)
def test_a_label_value_stays_one_value_without_control_characters(value: str, is_openmetrics: bool) -> None:
    text = render("metric", FieldType.GAUGE, value, 1, is_openmetrics=is_openmetrics)
    _, _, labels, _ = read(text, is_openmetrics=is_openmetrics)
    assert labels == {"label": shown(value)}


@FORMATS
@given(value=st.text(), help_text=st.text(), number=st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_any_number_can_be_read_again(
    value: str, help_text: str, number: float, is_openmetrics: bool
) -> None:
    text = render("m", FieldType.GAUGE, value, number, is_openmetrics=is_openmetrics, help_text=help_text)
    _, _, labels, found = read(text, is_openmetrics=is_openmetrics)
    assert labels["label"] == shown(value)
    assert found == pytest.approx(number, rel=1e-14)
    assert len(text.split("\n")) == (5 if is_openmetrics else 4)


@FORMATS
def test_a_label_value_of_a_mebibyte_is_cut(is_openmetrics: bool) -> None:
    text = render("m", FieldType.GAUGE, '"' * (1 << 20), 1, is_openmetrics=is_openmetrics)
    assert read(text, is_openmetrics=is_openmetrics)[2] == {"label": '"' * MAX_VALUE}


@FORMATS
def test_a_help_text_has_no_line_breaks(is_openmetrics: bool) -> None:
    help_text = 'the "first"\nthe \\ second\r\x1b'
    text = render("m", FieldType.GAUGE, "", 1, is_openmetrics=is_openmetrics, help_text=help_text)
    assert read(text, is_openmetrics=is_openmetrics)[1] == 'the "first"\nthe \\ second??'


@pytest.mark.parametrize(
    ("name", "is_openmetrics", "kind"),
    [
        ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", False, "counter"),
        ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", True, "unknown"),
        ("gpunode_gpu_xids_total", False, "counter"),
        ("gpunode_gpu_xids_total", True, "counter"),
    ],
)
def test_the_name_of_a_counter_does_not_depend_on_the_format(name: str, is_openmetrics: bool, kind: str) -> None:
    text = render(name, FieldType.COUNTER, "v", 3, is_openmetrics=is_openmetrics)
    assert read(text, is_openmetrics=is_openmetrics)[0] == kind
    assert f'\n{name}{{label="v"}} 3\n' in text


def test_a_family_without_samples_is_absent() -> None:
    exposition = Exposition(is_openmetrics=False)
    exposition.add("m", FieldType.GAUGE, "h", [])
    assert exposition.render() == b""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (61.0, "61"), (0.335, "0.335"), (2.0**63, "9223372036854775808"), (512.25, "512.25"), (1e-12, "1e-12")],
)
def test_numbers_are_short_and_counters_keep_their_digits(value: float, text: str) -> None:
    assert render_number(value) == text


def test_labels_are_joined_with_a_comma_only_if_there_are_any() -> None:
    assert join_labels('a="1"', ()) == 'a="1"'
    assert join_labels('a="1"', [("b", "2")]) == 'a="1",b="2"'
