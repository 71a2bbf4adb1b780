"""The mutants of a module. A mutant is the text of the module with one changed place. A test has to fail with it.

Comparisons, boolean and arithmetic operators, numbers and booleans, return values and statements are changed. Text, annotations,
decorators and log lines are not: no test should need to repeat them. A number of a constant or of an attribute of a class, such as a limit
or a pause, becomes 0: a test has to fail without the limit, and should not repeat its value.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
LOGGER = "log"
UNCHANGED = {"annotation", "returns", "decorator_list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """before, after: the source of the changed place. start, end: where `before` is, in bytes of the module's text."""

    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        text = source.encode()
        return (text[: self.start] + self.after.encode() + text[self.end :]).decode()

    def __str__(self) -> str:
        return f"{_shorten(self.before)}  ->  {_shorten(self.after)}"


def find_mutants(source: str) -> list[Mutant]:
    """Returns all mutants of a module, in the order of their places."""
    text = source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def mutant(node: ast.expr | ast.stmt, after: str) -> Mutant:
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return Mutant(line=node.lineno, start=start, end=end, before=text[start:end].decode(), after=after)

    tree = ast.parse(source)
    numbers = {id(node) for statement in _constants(tree) for node in ast.walk(statement)}
    found = [mutant(node, after) for node in _walk(tree) for after in _replacements(node, to_zero=id(node) in numbers)]
    return sorted(found, key=lambda each: (each.start, each.end, each.after))


def _walk(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yields the nodes that may change. Excludes the parts of an f-string, because Python 3.11 does not report their places."""
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Expr) and _is_log_call(node.value)):
        return
    if isinstance(node, ast.ClassDef) and any(map(_is_protocol, node.bases)):
        return  # its methods never run
    for name, value in ast.iter_fields(node):
        if name in UNCHANGED or (name == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _constants(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yields the statements that assign constants of the module, whose names have capitals only, and attributes of classes."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name.isupper():
                yield statement
            case ast.ClassDef():
                yield from (each for each in statement.body if isinstance(each, ast.Assign | ast.AnnAssign))


def _is_protocol(base: ast.expr) -> bool:
    name = base.value if isinstance(base, ast.Subscript) else base
    return isinstance(name, ast.Name) and name.id == "Protocol"


def _replacements(node: ast.expr | ast.stmt, *, to_zero: bool) -> Iterator[str]:
    match node:
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)) if to_zero and value:
            yield str(type(value)(0))
        case ast.Constant(value=int(value) | float(value)):
            yield str(value + 1)
        case ast.Return(value=ast.expr() as value) if not _is_none(value) and not _is_false(value):
            yield "return None"
        case ast.stmt() if _is_removable(node):
            yield "pass"
        case ast.expr():
            yield from (f"({ast.unparse(changed)})" for changed in _other_operators(node))


def _other_operators(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                ops = [*node.ops[:number], COMPARISONS[type(operator)](), *node.ops[number + 1 :]]
                yield ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(op=ast.And() if isinstance(node.op, ast.Or) else ast.Or(), values=node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if not _is_text(node) and not _is_type_union(node):
            yield ast.BinOp(left=node.left, op=ARITHMETIC[type(node.op)](), right=node.right)


def _is_removable(node: ast.stmt) -> bool:
    """Excludes assignments to names, because the module would not run without them."""
    match node:
        case ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign() | ast.Delete():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case ast.Expr(value=ast.Call() as call):
            return not _is_log_call(call)
        case _:
            return False


def _is_text(node: ast.BinOp) -> bool:
    """Whether text is joined or formatted. Other operators are not defined for text."""
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr) or _is_text_constant(side) for side in sides)


def _is_type_union(node: ast.BinOp) -> bool:
    """`X | None` outside an annotation, as in an alias or a call of isinstance."""
    if not isinstance(node.op, ast.BitOr):
        return False
    return any(_is_none(side) or _is_type(side) for side in (node.left, node.right))


def _is_type(node: ast.expr) -> bool:
    name = node.value if isinstance(node, ast.Subscript) else node
    word = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""
    return word in {"str", "int", "float", "bytes", "bool", "dict", "list", "tuple", "set"} or (
        word[:1].isupper() and not word.isupper()
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_false(node: ast.expr) -> bool:
    """`return False`: None is false too, so the callers cannot distinguish the two. The mutant `return True` exists."""
    return isinstance(node, ast.Constant) and node.value is False


def _is_text_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _is_log_call(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and ast.unparse(called.value) == LOGGER


def _shorten(text: str, most: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
