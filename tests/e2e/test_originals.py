"""Compares gotemplate with Go's text/template and Sprig, and the CDI checks with the library of container runtimes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gotemplate.errors import TemplateError
from gotemplate.template import parse_template
from gpu_core.domain.cdi_schema import problems_of
from tests.e2e.oracle import OracleResult, run_oracle
from tests.e2e.templates import make_templates, make_words
from tests.gpu_core.domain.test_cdi_schema import REFUSED, VALID

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

COUNT = 10_000


def rendered(template: str) -> OracleResult:
    try:
        return OracleResult(output=parse_template(template).render({}), error="")
    except TemplateError as error:
        return OracleResult(output="", error=str(error))


def is_same(actual: OracleResult, expected: OracleResult) -> bool:
    """Equal outputs, or two errors. Outputs with incomplete characters are not compared, because JSON cannot contain their bytes."""
    return bool(actual.error and expected.error) or actual == expected or "\ufffd" in actual.output


@pytest.mark.parametrize("make", [make_templates, make_words])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_templates_render_as_in_go(make: Callable[[int, int], Iterator[str]], seed: int) -> None:
    templates = list(make(seed, COUNT))
    pairs = zip(templates, map(rendered, templates), run_oracle("templates", templates), strict=True)
    assert [each for each in pairs if not is_same(*each[1:])] == []


@pytest.mark.parametrize(
    "specs", [list(VALID.values()), [spec for spec, _ in REFUSED.values()]], ids=["valid", "refused"]
)
def test_cdi_specifications_are_accepted_and_refused_as_by_container_runtimes(specs: list[dict[str, Any]]) -> None:
    assert [bool(result.error) for result in run_oracle("cdi", specs)] == [bool(problems_of(spec)) for spec in specs]
