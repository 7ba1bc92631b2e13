"""The mutants of a module: one small change of its text each."""

import ast
import copy
import difflib
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
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
TEXT = (ast.JoinedStr, ast.Constant)


@dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    lines: tuple[int, int]
    """The first and last line of the statement it is in."""
    always: bool
    """Whether the statement runs when the module is imported, and so before any test."""
    source: str
    """The text of the whole module."""
    diff: str


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    found = []
    for statement, always in _statements(ast.parse(source).body, always=True):
        lines = statement.lineno, _last_line(statement)
        for node, text in _changes(statement):
            mutated = _replaced(source, node, text)
            found.append(Mutant(lines, always, mutated, _diff(source, mutated)))
    return found


def _statements(body: list[ast.stmt], *, always: bool) -> Iterator[tuple[ast.stmt, bool]]:
    for statement in body:
        yield statement, always
        inside = always and not isinstance(statement, ast.FunctionDef)
        for block in _blocks(statement):
            yield from _statements(block, always=inside)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body


def _last_line(statement: ast.stmt) -> int:
    """The last line of a statement without the blocks it holds."""
    inner = [block[0].lineno for block in _blocks(statement) if block]
    return max(min(inner) - 1, statement.lineno) if inner else statement.end_lineno or 0


def _changes(statement: ast.stmt) -> Iterator[tuple[ast.AST, str]]:
    """Nodes of a statement, its blocks left out, with the text that takes the place of each."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.FunctionDef(name="__repr__"):
            return
        case ast.Expr(value=ast.Constant()):
            return  # a docstring
        case ast.Expr() | ast.Raise() | ast.Break() | ast.Continue() | ast.AugAssign():
            yield statement, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple(), *_]):
            yield statement, "pass"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield value, "None"
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare):
            yield test, f"not ({ast.unparse(test)})"
    if isinstance(statement, ast.AugAssign) and type(statement.op) in ARITHMETIC:
        changed = copy.deepcopy(statement)
        changed.op = ARITHMETIC[type(statement.op)]()
        yield statement, ast.unparse(changed)
    yield from _expressions(statement)


def _expressions(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt | ast.JoinedStr | ast.pattern | ast.ExceptHandler):
                continue
            if isinstance(child, ast.match_case):
                if child.guard is not None:
                    yield child.guard, f"not ({ast.unparse(child.guard)})"
                    yield from _expressions(child.guard)
                continue
            if isinstance(child, ast.expr):
                yield from ((child, ast.unparse(changed)) for changed in _changed(child))
            if isinstance(child, ast.AST):
                yield from _expressions(child)


def _changed(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[at] = COMPARISONS[type(operator)]()
                yield changed
        case ast.BoolOp():
            changed_bool = copy.deepcopy(node)
            changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield changed_bool
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            if not any(isinstance(side, TEXT) and _is_text(side) for side in _sides(node)):
                yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        case ast.IfExp():
            yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)


def _sides(node: ast.BinOp) -> tuple[ast.expr, ast.expr]:
    return node.left, node.right


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _replaced(source: str, node: ast.AST, text: str) -> str:
    """The source with another text in the place of a node."""
    lines = source.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
    head = lines[first][: node.col_offset]  # type: ignore[attr-defined]
    tail = lines[last][node.end_col_offset :]  # type: ignore[attr-defined]
    new = f"({text})" if isinstance(node, ast.expr) else text
    # As many lines as before, so that the tests that reach a line are the same.
    padding = b"\n" * (last - first) if not tail.strip() else b""
    return b"".join(
        [*lines[:first], head, new.encode(), tail, padding, *lines[last + 1 :]]
    ).decode()


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(line for line in changed if line[1:].strip())
