"""With every input, a parser returns or raises a declared error. FUZZ_EXAMPLES is the number of inputs."""

import ast
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.parsers import EXCLUDED, PARSERS, ROOT, Parser
from tests.fuzz.profile import fuzzed
from tests.packages import PACKAGES

pytestmark = pytest.mark.fuzz


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_a_parser_accepts_an_input_or_raises_a_declared_error(parser: Parser) -> None:
    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        value = data.draw(parser.inputs)
        with suppress(*parser.refuses):
            parser.parse(value)

    check()


def functions() -> Iterator[str]:
    """Yields every public function `parse_...` and `decode_...`, as `module:name`."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith(("parse_", "decode_")):
                    yield f"{module}:{node.name}"


def test_every_parser_is_fuzzed_or_excluded_with_a_reason() -> None:
    found = set(functions())
    assert EXCLUDED.keys() <= found, "an excluded parser does not exist"
    assert found - PARSERS.keys() - EXCLUDED.keys() == set()
    assert not PARSERS.keys() & EXCLUDED.keys()
