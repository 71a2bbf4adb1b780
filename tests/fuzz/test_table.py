"""The list of the parsers names every parser of the code."""

import re
from collections.abc import Iterator

from tests.fuzz.parsers import EXCLUDED, PARSERS, ROOT
from tests.packages import PACKAGES

PARSER = re.compile(r"^def ((?:parse|decode)_\w+)", re.MULTILINE)


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
