"""The file that selects the exported fields: what works in it is used, and each other line is a problem with its number."""

from collections.abc import Collection

import pytest

from gpu_exporter import counters_file
from gpu_exporter.counters_file import MAX_PROBLEMS, CounterField, FieldType, parse_counters

KNOWN = ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DRIVER_VERSION", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER")
FILE = """# Format
# DCGM FIELD, Prometheus metric type, help message

DCGM_FI_DEV_GPU_TEMP, gauge, GPU temperature (in C).
DCGM_FI_DEV_DEC_UTIL , gauge, "Utilization, of the ""decoder"" (in %)."
  # DCGM_FI_DEV_XID_ERRORS, gauge, Value of the last XID error encountered.
DCGM_FI_DRIVER_VERSION,label,Driver Version
DCGM_FI_DEV_PCIE_REPLAY_COUNTER, counter
"""


def test_fields_have_type_and_help_in_the_order_of_the_file() -> None:
    found = parse_counters(FILE, KNOWN)
    assert found.problems == ()
    assert found.fields == (
        CounterField(name="DCGM_FI_DEV_GPU_TEMP", type=FieldType.GAUGE, help="GPU temperature (in C)."),
        CounterField(name="DCGM_FI_DEV_DEC_UTIL", type=FieldType.GAUGE, help='Utilization, of the "decoder" (in %).'),
        CounterField(name="DCGM_FI_DRIVER_VERSION", type=FieldType.LABEL, help="Driver Version"),
        CounterField(name="DCGM_FI_DEV_PCIE_REPLAY_COUNTER", type=FieldType.COUNTER, help=""),
    )


def test_a_file_of_windows_is_the_same_file() -> None:
    assert parse_counters("\ufeff" + FILE.replace("\n", "\r\n"), KNOWN) == parse_counters(FILE, KNOWN)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("DCGM_FI_DEV_GPU_TMP, gauge, x", "line 2: DCGM_FI_DEV_GPU_TMP is not a field of this exporter (did you mean DCGM_FI_DEV_GPU_TEMP"),
        ("DCGM_FI_DEV_GPU_TEMP", "line 2: DCGM_FI_DEV_GPU_TEMP has no type."),
        ("DCGM_FI_DEV_GPU_TEMP, gouge, x", "line 2: DCGM_FI_DEV_GPU_TEMP has the type 'gouge'. Use one of gauge, counter, label."),
        ("DCGM_FI_DEV_DEC_UTIL, gauge, y", "line 2: DCGM_FI_DEV_DEC_UTIL is in the file twice. The first line counts."),
        ("gpu_temp, gauge, x", "line 2: 'gpu_temp' is not the name of a field."),
        ("<html>\x1b[31m\x00", "line 2: '<html>?[31m?' is not the name of a field."),
        (",,,", "line 2: '' is not the name of a field."),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_one_problem_and_the_others_work(line: str, problem: str) -> None:
    found = parse_counters(f"DCGM_FI_DEV_DEC_UTIL, gauge, x\n{line}\nDCGM_FI_DRIVER_VERSION, label, y", KNOWN)
    assert [field.name for field in found.fields] == ["DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DRIVER_VERSION"]
    (only,) = found.problems
    assert only.startswith(problem)


@pytest.mark.parametrize("text", ["", "\n\n", "# DCGM_FI_DEV_GPU_TEMP, gauge, x"])
def test_a_file_without_a_field_is_a_problem(text: str) -> None:
    found = parse_counters(text, KNOWN)
    assert found.fields == ()
    assert found.problems == ("the file selects no field. Write one line `FIELD, type, help` for each field.",)


@pytest.mark.parametrize(
    "text", ["\x00" * (1 << 20), "A" * (1 << 20), "AB,gauge\n" * (1 << 17)], ids=["NUL", "one line", "many"]
)
def test_a_large_file_of_another_kind_has_a_limited_number_of_short_problems(text: str) -> None:
    found = parse_counters(text, KNOWN)
    assert found.fields == ()
    assert len(found.problems) <= MAX_PROBLEMS + 1
    assert max(map(len, found.problems)) < 200
    assert "".join(found.problems).isprintable()


def test_similar_names_are_searched_only_for_the_problems_that_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search compares a name with all names: a large file would cost minutes."""
    searched: list[int] = []

    def suggest(_: str, hints: Collection[str]) -> str:
        searched.append(len(hints))
        return ""

    monkeypatch.setattr(counters_file, "suggest", suggest)
    parse_counters("AB,gauge\n" * 1000, KNOWN)
    assert sum(map(bool, searched)) == MAX_PROBLEMS
