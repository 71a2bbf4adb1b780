import ast

import pytest

from tests.mutants import find_mutants
from tests.packages import PACKAGES, ROOT

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def changes(source: str) -> list[str]:
    return [mutant.apply(source) for mutant in find_mutants(source)]


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a == b", ["(a != b)"]),
        ("a < b <= c", ["(a <= b <= c)", "(a < b < c)"]),
        ("a > b", ["(a >= b)"]),
        ("a >= b", ["(a > b)"]),
        ("a is None", ["(a is not None)"]),
        ("a not in b", ["(a in b)"]),
        ("a and b or c", ["((a and b) and c)", "(a or b) or c"]),
        ("not a", ["(a)"]),
        ("a + b", ["(a - b)"]),
        ("a * b", ["(a // b)"]),
        ("a << b", ["(a >> b)"]),
        ("a & b", ["(a | b)"]),
        ("a % b", ["(a * b)"]),
        ("True", ["False"]),
        ("7", ["8"]),
        ("0.5", ["1.5"]),
        ("limit = 7", ["limit = 8"]),
        ("LIMIT = 7 + f(2.5)", ["LIMIT = (7 - f(2.5))", "LIMIT = 0 + f(2.5)", "LIMIT = 7 + f(0.0)"]),
        ("_FIRST: int = 0", ["_FIRST: int = 1"]),
        ("class A:\n    limit: int = 7", ["class A:\n    limit: int = 0"]),
        ("class A:\n    def f(self, limit=7): ...", ["class A:\n    def f(self, limit=8): ..."]),
        ("f(a)", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a[b] = c", ["pass"]),
        ("a += b", ["pass"]),
        ("raise a", ["pass"]),
        ("del a", ["pass"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
        ("def f():\n    return False", ["def f():\n    return True"]),
        ("while a:\n    break", ["while a:\n    pass"]),
        ("while a:\n    continue", ["while a:\n    pass"]),
        ("ü = 'ü'; a == b", ["ü = 'ü'; (a != b)"]),
        ("f(\n    a ==\n    b\n)", ["pass", "f(\n    (a != b)\n)"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_place_changes_at_a_time(source: str, mutants: list[str]) -> None:
    assert sorted(changes(source)) == sorted(mutants)


@pytest.mark.parametrize(
    "source",
    [
        '"text"',
        '"%s of" % a',
        'a + "text"',
        'f"{a == 1}"',
        "a: int | None",
        "def f(a: Literal[1]) -> Literal[2]: ...",
        "Alias = dict[str, int] | None",
        "@dataclass(frozen=True)\nclass A: ...",
        "class A(Struct, frozen=True): ...",
        "class A(Protocol):\n    def f(self, a: int = 7) -> int: ...",
        "class A(Protocol[T]):\n    def f(self, a: int = 7) -> int: ...",
        'log.info("event", number=1)',
        "def f():\n    return",
        "def f():\n    return None",
        "a = b",
        "None",
    ],
)
def test_what_no_test_should_repeat_stays(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_names_its_line_and_both_texts() -> None:
    (mutant,) = find_mutants(f"a\n\nb ==\\\n   {'c' * 100}")
    assert mutant.line == 3
    assert str(mutant) == f"b ==\\ {'c' * 81}...  ->  (b != {'c' * 81}..."


def test_every_mutant_of_a_module_is_a_module_of_its_own() -> None:
    for path in MODULES[::100]:
        source = path.read_text()
        mutants, unchanged = changes(source), ast.dump(ast.parse(source))
        assert len(set(mutants)) == len(mutants), path
        assert all(ast.dump(ast.parse(mutant)) != unchanged for mutant in mutants), path
