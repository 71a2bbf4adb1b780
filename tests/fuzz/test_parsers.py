"""With every input, a parser returns or raises a declared error. FUZZ_EXAMPLES is the number of inputs."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.profile import fuzzed

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
