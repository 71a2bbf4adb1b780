"""JSON, YAML, CSV and names."""

import json

import pytest
import yaml

from gpunode.output.formats import print_csv, print_document, print_names
from gpunode.output.table import Column
from gpunode.output.terminal import Styled

HOSTILE = 'a\x1b[2J"b\n'


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_is_valid_and_escaped(capsys: pytest.CaptureFixture[str], output: str, parse: object) -> None:
    document = {"name": HOSTILE, "items": [1, None, True], "long": "x " * 200}
    print_document(document, output)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert parse(printed) == document  # type: ignore[operator]


def test_csv_has_all_columns_and_quotes_values(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column(header="NAME"), Column(header="FREE GPUS", is_wide=True))
    print_csv(columns, [("a,b", Styled("1", "red"))])
    assert capsys.readouterr().out == 'name,free_gpus\n"a,b",1\n'


def test_names_can_be_arguments_of_kubectl(capsys: pytest.CaptureFixture[str]) -> None:
    print_names("node", ["a", "b"])
    assert capsys.readouterr().out == "node/a\nnode/b\n"
