"""The tables of correspondences agree with the chart."""

import re
from typing import Any

import pytest
import yaml

from gpunode.config_check.find import KEYS, Kind
from gpunode.migrate.charts import Chart, messages
from gpunode.migrate.correspondence import Correspondence, Message
from gpunode.migrate.render import ORDER
from tests.gpunode.migrate.schema import CHART, ROOT, SCHEMA, refused_values, schema_at
from tests.manifests.generated import render_upstream

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
ROWS = [pytest.param(row, id=f"{chart}-{row.path}") for chart in Chart for row in chart.rows]


@pytest.mark.parametrize("row", [each for each in ROWS if each.values[0].to is not None])  # type: ignore[union-attr]
def test_each_counterpart_is_a_value_of_the_chart(row: Correspondence) -> None:
    assert row.to is not None
    top = row.to.partition(".")[0]
    assert top in VALUES
    assert top in ORDER
    assert schema_at(row.to) is not None
    if isinstance(schema := schema_at(row.to), dict) and "enum" in schema:
        choices = getattr(row.kind, "__args__", ())
        assert set(choices) - {"vfio"} <= set(schema["enum"]), "the chart would refuse a value"


@pytest.mark.parametrize("chart", Chart)
def test_a_path_is_in_a_table_once(chart: Chart) -> None:
    paths = [row.path for row in chart.rows]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("row", ROWS)
def test_each_text_is_sentences(row: Correspondence) -> None:
    assert row.to is not None or row.why
    assert row.why == "" or re.fullmatch(r"[A-Z`n].*[.]", row.why)
    assert row.needs_action is False or row.to is None


def test_the_message_about_a_path_does_not_depend_on_the_chart() -> None:
    known = messages()
    for chart in Chart:
        for row in chart.rows:
            if row.message is not None:
                assert known[row.path][0] is row.message


def test_the_chart_reports_no_value_that_it_has() -> None:
    accepted = {row.path for chart in Chart for row in chart.rows if row.path == row.to and row.message is None}
    assert not accepted & messages().keys()


def test_the_schema_accepts_exactly_the_values_with_messages() -> None:
    def foreign(schema: dict[str, Any], path: str) -> set[str]:
        found: set[str] = set()
        for key, below in schema["properties"].items():
            found |= {f"{path}{key}"} if below is True else set()
            found |= foreign(below, f"{path}{key}.") if isinstance(below, dict) and "properties" in below else set()
        return found

    paths = messages().keys()
    topmost = {path for path in paths if not any(path.startswith(f"{other}.") for other in paths)}
    assert foreign(SCHEMA, "") == topmost


def test_the_messages_of_the_chart_are_up_to_date() -> None:
    assert (CHART / "templates" / "_upstream.tpl").read_text() == render_upstream(), "run `make manifests`"
    assert {kind for kind, _ in messages().values()} == set(Message)


def test_values_are_in_the_order_of_the_chart() -> None:
    assert [each for each in VALUES if each in ORDER] == ORDER


def test_the_schema_accepts_the_default_values() -> None:
    assert refused_values(VALUES) == []
    assert len(refused_values({"migStrategy": "x", "nfd": {"a": 1}, "unknown": 1})) == 3


def test_the_keys_of_nfd_master_conf_in_the_guide_are_read() -> None:
    page = (ROOT / "docs" / "how-to" / "migrate.md").read_text()
    table = page[page.index("### nfd-master.conf") : page.index("## You come from the GPU Operator")]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    keys = {name.partition(".")[0] for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert len(keys) > 8
    assert keys <= KEYS[Kind.NFD]
