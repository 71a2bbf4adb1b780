"""No input makes a parser raise another error than it declares, or go on without end. FUZZ_EXAMPLES says how many are tried."""

import ast
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.parsers import ELSEWHERE, PARSERS, ROOT, Parser
from tests.fuzz.profile import fuzzed

pytestmark = pytest.mark.fuzz
PACKAGES = ("node_core", "nfd_lite", "gfd", "device_plugin", "gpunode")


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_whatever_it_is_given_a_parser_understands_or_refuses(parser: Parser) -> None:
    @fuzzed
    @given(st.data())
    def check(data: st.DataObject) -> None:
        given_to_it = data.draw(parser.inputs)
        with suppress(*parser.refuses):
            parser.parse(given_to_it)

    check()


def functions() -> Iterator[str]:
    """Every public function that parses or decodes something, as `module:name`."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith(("parse_", "decode_")):
                    yield f"{module}:{node.name}"


def test_every_parser_is_fuzzed_or_it_is_said_why_not() -> None:
    found = set(functions())
    assert ELSEWHERE.keys() <= found, "it is gone"
    assert found - PARSERS.keys() - ELSEWHERE.keys() == set()
    assert not PARSERS.keys() & ELSEWHERE.keys()
