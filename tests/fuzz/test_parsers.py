"""With every input, a parser returns or raises a declared error. FUZZ_EXAMPLES is the number of inputs."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.parsers import EXCLUDED, PARSERS, ROOT, Parser
from tests.fuzz.profile import fuzzed
from tests.packages import PACKAGES

pytestmark = pytest.mark.fuzz

PARSER = re.compile(r"^def ((?:parse|decode)_\w+)", re.MULTILINE)


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
            for name in PARSER.findall(path.read_text()):
                yield f"{module}:{name}"


def test_every_parser_is_fuzzed_or_excluded_with_a_reason() -> None:
    found = set(functions())
    assert EXCLUDED.keys() <= found, "an excluded parser does not exist"
    assert found - PARSERS.keys() - EXCLUDED.keys() == set()
    assert not PARSERS.keys() & EXCLUDED.keys()
