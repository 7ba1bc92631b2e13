"""Jinja for templates of strangers: nothing of Python is in reach, and none goes on without end.

What a template may do is listed, not what it may not: its facts' data, a few methods of text and
mappings, and filters that make nothing larger than what they are given. What it does is counted:
loops, calls, includes, and the characters of every text that it makes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, MutableMapping, Sequence
from decimal import Decimal
from functools import cached_property
from types import CodeType
from typing import Any, Literal, NoReturn

import jinja2
from jinja2 import filters, nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

STEPS = 1_000_000
"""Rounds of loops, calls and includes of one statement."""
CHARACTERS = 8 * 1024 * 1024
"""Of all text that one statement is made of; Redshift takes twice as many."""
SECONDS = 10.0
"""Of work for one statement."""
_ROUNDS = 100
"""Steps after which the clock is looked at."""
_BITS = 4_096
"""Of whole numbers."""
_DIGITS = 38
"""Of a number that is rounded: those of the widest DECIMAL."""
_NESTED = 4
"""The most nested lists: the size of their text doubles with each level."""

Clock = Callable[[], float]

_TEXT = frozenset(
    """capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit
    isidentifier islower isnumeric isprintable isspace istitle isupper lower lstrip partition
    removeprefix removesuffix rfind rindex rpartition rsplit rstrip split splitlines startswith
    strip swapcase title upper""".split()  # noqa: SIM905  # words read better than a column of them
)
_METHODS: Sequence[tuple[type, frozenset[str]]] = (
    (str, _TEXT),
    (dict, frozenset({"get", "items", "keys", "values"})),
    (list, frozenset({"count", "index"})),
    (tuple, frozenset({"count", "index"})),
    (LoopContext, frozenset({"cycle", "changed"})),
    (Cycler, frozenset({"next", "reset"})),
)
"""Methods that neither change anything nor make anything large."""

_FILTERS = frozenset(
    """abs attr capitalize count d dictsort first float groupby int items last length list
    lower map max min reject rejectattr reverse select selectattr sort title trim truncate
    unique upper""".split()  # noqa: SIM905
)
"""Of Jinja's own; others are about HTML, are chance, or make large things of small ones."""

_GLOBALS = ("range", "dict", "cycler", "joiner", "namespace")


class LimitError(Exception):
    """A template takes too long, or makes too much."""


class CompiledTemplates(jinja2.BytecodeCache):
    """Compiled templates of sandboxes with the same filters: Jinja applies these to constants."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Set the code of a template, unless its source was another one."""
        checksum, code = self._found.get(bucket.key, ("", None))
        bucket.code = code if checksum == bucket.checksum else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Remember the code of a template that was compiled."""
        if bucket.code is not None:
            self._found[bucket.key] = bucket.checksum, bucket.code


class _Spent(threading.local):
    """What the statement that this thread renders has taken so far."""

    steps = 0
    characters = 0
    deadline = float("inf")


class Sandbox(ImmutableSandboxedEnvironment):
    """Renders templates that may do little, and not for long.

    ``clock`` returns the CPU seconds of this thread; without it, only steps are counted.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._spent = _Spent()
        self.code_generator_class = _Generator
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters |= {"_counted": self._count_items, "string": self._text}
        self.filters |= {"join": self._join, "replace": self._replace, "indent": self._indent}
        self.filters |= {"round": _round, "sum": self._sum}
        # By identity: what is equal to one of them need not be one.
        self._functions = {id(function) for function in self.globals.values()}

    def begin(self) -> None:
        """Reset the counters, for another statement."""
        self._spent.steps = self._spent.characters = 0
        self._spent.deadline = self._clock() + SECONDS if self._clock else float("inf")

    def step(self) -> None:
        """Count a round of a loop, or a call.

        Raises:
            LimitError: it is one too many.
        """
        spent = self._spent
        spent.steps += 1
        if spent.steps > STEPS:
            raise LimitError(f"the template takes more than {STEPS:,} steps")
        if spent.steps % _ROUNDS == 0 and self._clock and self._clock() > spent.deadline:
            raise LimitError(f"the template takes more than {SECONDS:g} seconds")

    def spend(self, characters: int) -> None:
        """Count text before it is made.

        Raises:
            LimitError: it is too much.
        """
        self._spent.characters += characters
        if self._spent.characters > CHARACTERS:
            raise _too_much()

    # --- what templates are compiled to

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for block in tree.find_all((nodes.FilterBlock, nodes.EvalContextModifier)):
            # What they print goes past the guard of bare values.
            self._reject("`filter` and `autoescape` blocks", block, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            if loop.recursive:
                self._reject("recursive loops", loop, name, filename)
            counted = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
            loop.iter = counted.set_environment(self)
        return tree

    def _reject(
        self, what: str, node: nodes.Node, name: str | None, filename: str | None
    ) -> NoReturn:
        message = f"{what} are not supported in SQL templates"
        raise jinja2.TemplateSyntaxError(message, node.lineno, name, filename)

    def get_template(
        self,
        name: str | jinja2.Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002  # the name is Jinja's
    ) -> jinja2.Template:
        """The template of that name, compiled once: thousands of statements come from a few."""
        self.step()
        found = self._found.get(name)
        if found is None:
            found = super().get_template(name, parent, globals)
            # A plain dict: each rendering copies it, and Jinja's own is slow to copy.
            found.globals = dict(found.globals)
            self._found[name] = found
        return found

    @cached_property
    def _found(self) -> dict[str | jinja2.Template, jinja2.Template]:
        return {}

    # --- what templates reach

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have an attribute: data, or a method that is listed."""
        if callable(value) and not isinstance(value, jinja2.Undefined):
            return attr[:1] != "_" and self.is_safe_callable(value)
        return super().is_safe_attribute(obj, attr, value)

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether a template may call it: what it defined itself, and what is listed."""
        if id(obj) in self._functions or not callable(obj):
            return True
        if isinstance(obj, Macro | BlockReference | Joiner | Namespace | jinja2.Undefined):
            return True
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return any(isinstance(owner, kind) and name in names for kind, names in _METHODS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute of a fact; which data of a type may be had is found out once."""
        try:
            value = getattr(obj, attribute)
        except AttributeError:
            return super().getattr(obj, attribute)
        if (type(obj), attribute) in self._data and not callable(value):
            return value
        found = super().getattr(obj, attribute)
        if found is value and not callable(value):
            self._data.add((type(obj), attribute))
        return found

    @cached_property
    def _data(self) -> set[tuple[type, str]]:
        return set()

    def wrap_str_format(self, value: Any) -> None:
        """Nothing: formatted text would count as SQL wherever its pattern does."""

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as Jinja's own
        """Call what may be called."""
        __self.step()
        # What a `call` block prints goes past the guard of bare values: only macros have passed it.
        alone = "caller" in kwargs and not isinstance(__obj, Macro)
        if alone or not __self.is_safe_callable(__obj):
            name = getattr(__obj, "__name__", type(__obj).__name__)
            raise SecurityError(f"a template may not call `{name}`")
        return __self.nested(__context.call(__obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Reckon, with numbers of a size that people have, and texts and lists that stay small."""
        large = isinstance(left, str | list | tuple), isinstance(right, str | list | tuple)
        if operator == "+" and all(large):
            self.spend(len(left) + len(right))
        elif operator != "+" and any(large):
            raise SecurityError(f"a template may not use `{operator}` with texts and lists")
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * max(right, 1))
        elif operator == "*" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
        return super().call_binop(context, operator, left, right)

    # --- what makes something, and is counted

    def _count_items(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def concat(self, pieces: Iterable[str]) -> str:
        """The pieces of a template in one, as it prints them."""
        found = []
        left = CHARACTERS - self._spent.characters
        for piece in pieces:
            left -= len(piece)
            if left < 0 and isinstance(pieces, Generator):
                pieces.throw(_too_much())  # at the line that printed it
            found.append(piece)
        return "".join(found)

    def joined(self, values: Iterable[Any]) -> str:
        """Values in one text: Jinja's ``~``."""
        return self._join(values)

    def nested(self, value: Any) -> Any:
        """A list, tuple or mapping that a template writes, when it is not too deep."""
        if _deeper(value, _NESTED):
            raise LimitError(f"the template nests more than {_NESTED} lists")
        return value

    def buffer(self) -> list[str]:
        """What a block that is captured prints into."""
        return _Buffer(self.spend)

    def _text(self, value: Any) -> str:
        if isinstance(value, list | tuple | dict | set):
            raise SecurityError("a list has no text; join its items")
        text = str(value)
        self.spend(len(text))
        return text

    def _join(self, values: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
        if attribute is not None:
            values = (self.getattr(value, attribute) for value in values)
        found: list[str] = []
        for value in values:
            if found:
                self.spend(len(between))
            found.append(self._text(value))
        return between.join(found)

    def _replace(self, text: Any, old: str, new: str, count: int = -1) -> str:
        text = self._text(text)
        self.spend(text.count(old) * len(new))
        return text.replace(old, new, count)

    def _indent(self, text: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:
        text = self._text(text)
        self.spend((text.count("\n") + 1) * int(width))
        return filters.do_indent(text, int(width), first, blank)

    def _sum(self, values: Iterable[Any], attribute: str | None = None, start: Any = 0) -> Any:
        if attribute is not None:
            values = (self.getattr(value, attribute) for value in values)
        return sum(map(_number, values), _number(start))


class _Buffer(list[str]):
    """Pieces of text whose size is counted before they are stored."""

    def __init__(self, spend: Callable[[int], None]) -> None:
        super().__init__()
        self._spend = spend

    def append(self, piece: str) -> None:
        self._spend(len(piece))
        super().append(piece)

    def extend(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self.append(piece)


class _Generator(CodeGenerator):
    """Compiles templates so that all text they make, and all lists they write, is counted."""

    def buffer(self, frame: Frame) -> None:
        frame.buffer = self.temporary_identifier()
        self.writeline(f"{frame.buffer} = environment.buffer()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  # Jinja's
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._check_expression(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._check_expression(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._check_expression(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _check_expression(self, visit: Callable[..., None], node: nodes.Expr, frame: Frame) -> None:
        self.write("environment.nested(")
        visit(node, frame)
        self.write(")")


def _number(value: Any) -> Any:
    if not isinstance(value, int | float | Decimal):
        raise SecurityError("only numbers have a sum; `join` puts texts together")
    return value


def _round(
    value: Any, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common"
) -> Any:
    if abs(precision) > _DIGITS:
        raise LimitError(f"the template rounds to more than {_DIGITS} digits")
    return filters.do_round(_number(value), precision, method)


def _too_much() -> LimitError:
    return LimitError(f"the template makes more than {CHARACTERS:,} characters")


def _check_bits(bits: int) -> None:
    if bits > _BITS:
        raise LimitError("the template reckons with numbers that are too large")


def _deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper(one, levels - 1) for one in value.values())
    if isinstance(value, list | tuple):
        return levels == 0 or any(_deeper(one, levels - 1) for one in value)
    return False
