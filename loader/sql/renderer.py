"""SQL from Jinja templates, where nothing is printed that a typed filter has not vouched for."""

from __future__ import annotations

import difflib
import re
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from reprlib import repr as short_repr
from typing import TypeVar

import jinja2
import jinja2.exceptions

from loader.errors import TemplateError
from loader.sql import lexer, queries
from loader.sql.datatypes import DataType
from loader.sql.dialects.base import Dialect, Value
from loader.sql.sandbox import Clock, CompiledTemplates, LimitError, Sandbox

T = TypeVar("T")

SUFFIX = ".sql.j2"
OWN = "loader/templates"
"""How the paths of Loader's own templates are shown, apart from a project's."""
_LIST_WIDTH = 90
"""Characters after which a list goes on in the next line, so that plans stay readable."""

_LONGEST = 100_000
"""Characters of an expression, which is looked at one by one."""

FALLBACK = "ansi"
"""The folder of templates that every dialect understands."""


class Sql(str):
    """Text that is already SQL of the target dialect."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """A table's name; without a schema it is a temporary one."""

    schema: str | None
    name: str


@dataclass(frozen=True)
class Unknown:
    """A value that a preview does not know; rendered as NULL with a comment that names it."""

    what: str


@dataclass(frozen=True)
class Template:
    """A template's text, and its file for messages."""

    path: str
    source: str


@dataclass(frozen=True)
class Rendered:
    """One SQL statement and the template file it came from."""

    sql: str
    path: str


_COMPILED: defaultdict[tuple[str, str, str], CompiledTemplates] = defaultdict(CompiledTemplates)
"""What renderers with the same filters have compiled: compiling takes longer than rendering."""


class Renderer:
    """Renders the templates of one dialect.

    ``catalog`` is the database that the SQL will run in, where schemas may be confused with it.
    ``templates`` maps names such as ``redshift/copy_parquet.sql.j2`` to templates; a dialect's own
    win over the ``ansi`` ones, which win over those outside of folders. ``clock`` returns the
    seconds of work of this thread, so that a template that goes on and on is stopped.
    """

    def __init__(
        self,
        templates: Mapping[str, Template],
        dialect: Dialect,
        catalog: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.dialect = dialect
        self._templates = templates
        self._found: dict[str, Template | None] = {}
        self._commits = {re.compile(one): why for one, why in dialect.commits.items()}
        self._environment = Sandbox(
            clock,
            bytecode_cache=_COMPILED[dialect.name, dialect.share, catalog],
            loader=jinja2.FunctionLoader(self._load),
            undefined=jinja2.StrictUndefined,
            finalize=_only_sql,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # SQL is not HTML; `finalize` rejects unquoted values
        )
        self._environment.globals["newline"] = Sql("\n")
        self._environment.globals["share"] = dialect.share
        self._environment.filters |= _filters(dialect, catalog)
        self._environment.filters["predicate"] = self._predicate
        self._predicates: dict[bool, tuple[object, Sql]] = {}

    def has(self, name: str) -> bool:
        """Whether there is a template of that name for the dialect."""
        return name not in self.dialect.lacks and self._find(name + SUFFIX) is not None

    def is_replaced(self, name: str) -> bool:
        """Whether the project has a template of its own of that name."""
        found = self._find(name + SUFFIX)
        return found is not None and not found.path.startswith(OWN)

    def names(self, prefix: str) -> list[str]:
        """The templates for the dialect whose names begin so, sorted."""
        found = (path.rpartition("/")[2].removesuffix(SUFFIX) for path in self._templates)
        return sorted({name for name in found if name.startswith(prefix) and self.has(name)})

    def commits(self, words: str) -> str | None:
        """Why a statement of these bare words may not run inside a transaction, if it may not."""
        return next((why for one, why in self._commits.items() if one.match(words)), None)

    def render(self, name: str, facts: Mapping[str, object], file: str | None = None) -> Rendered:
        """One statement from a template; ``file`` is the table's own template in its place.

        Raises:
            TemplateError: there is no such template, it is broken or raises, it prints a value
                without a filter, it reaches for what the sandbox does not give or takes more than
                it grants, or it renders no statement, or more than one.
        """
        wanted = file or name + SUFFIX
        template = self._find(wanted)
        if template is None:
            raise self._missing(name, wanted)
        self._environment.begin()
        try:
            text = self._environment.get_template(wanted).render(facts)
        except jinja2.TemplateNotFound as error:
            message = f"{template.path}: there is no template `{error.name}`"
            raise TemplateError(message, place=(template.path, 0)) from error
        except jinja2.TemplateSyntaxError as error:
            place = (error.filename or template.path, error.lineno)
            raise TemplateError(f"{place[0]}:{place[1]}: {error.message}", place=place) from error
        except Exception as error:  # a template is a user's program: anything goes
            raise self._broken(template, error) from error
        return Rendered(self._one_statement(template, text), template.path)

    def _predicate(self, slice_: object, exact: bool = False) -> Sql:
        """The predicate of a slice, made once: it may be long, and most statements have it."""
        known, sql = self._predicates.get(exact, (None, Sql()))
        if known is not slice_:
            template = self._environment.get_template("boxes" + SUFFIX)
            sql = Sql(template.render(slice=_require_defined(slice_), exact=exact))
            self._predicates[exact] = slice_, sql
        return sql

    def _missing(self, name: str, wanted: str) -> TemplateError:
        hint = f"{self.dialect.name} cannot do `{name}`"
        if wanted != name + SUFFIX:
            known = {known.removeprefix(f"{self.dialect.name}/") for known in self._templates}
            close = difflib.get_close_matches(wanted, sorted(known), n=3, cutoff=0.8)
            meant = f", or did you mean {' or '.join(f'`{one}`' for one in close)}?"
            hint = f"put it at templates/{self.dialect.name}/{wanted}{meant if close else ''}"
        message = f"there is no template `{wanted}` for {self.dialect.name}"
        return TemplateError(message, hint=hint)

    def _broken(self, template: Template, error: Exception) -> TemplateError:
        paths = {one.path for one in self._templates.values()}
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in paths]
        hint = _HINTS.get(type(error))
        if not frames:
            return TemplateError(f"{template.path}: {error}", hint=hint, place=(template.path, 0))
        place = (frames[-1].filename, frames[-1].lineno or 0)
        return TemplateError(f"{place[0]}:{place[1]}: {error}", hint=hint, place=place)

    def _one_statement(self, template: Template, text: str) -> str:
        simple = lexer.simple_statement(text)
        if simple is not None:
            return simple
        found = lexer.statements(text, backslash=self.dialect.backslash)
        if len(found) != 1:
            raise TemplateError(
                f"{template.path}: renders {len(found)} statements, and must render one",
                hint="a template is one statement; Loader runs and verifies them one by one",
                place=(template.path, 0),
            )
        for kind, token in lexer.tokens(found[0], backslash=self.dialect.backslash):
            if kind == "open":
                message = f"{template.path}: a `{token}` never closes"
                raise TemplateError(message, place=(template.path, 0))
        return lexer.tidy(found[0], backslash=self.dialect.backslash)

    def _find(self, file: str) -> Template | None:
        if file not in self._found:
            names = (f"{self.dialect.name}/{file}", f"{FALLBACK}/{file}", file)
            known = (self._templates[name] for name in names if name in self._templates)
            self._found[file] = next(known, None)
        return self._found[file]

    def _load(self, file: str) -> tuple[str, str, Callable[[], bool]] | None:
        template = self._find(file)
        return (template.source, template.path, lambda: True) if template else None


_HINTS: Mapping[type[Exception], str] = {
    LimitError: "a template writes one statement; look for a loop that does not end",
    jinja2.exceptions.SecurityError: "templates reach their facts and filters, and no Python",
}


def _only_sql(value: object) -> Sql:
    if isinstance(value, Sql):
        return value
    if isinstance(value, jinja2.Undefined):
        str(value)  # StrictUndefined raises here, and names the variable
    raise TypeError(
        f"{short_repr(value)} is printed without a filter; pipe it through ident, table,"
        " qualifier, schema, literal, type, keyword, default, expr or query"
    )


def _filters(dialect: Dialect, catalog: str) -> dict[str, Callable[..., Sql]]:
    # A schema that is called like a database could be either.
    taken = {catalog.lower(), *dialect.catalogs} if catalog else set()

    def schema(name: str) -> Sql:
        parts = [catalog, name] if _require_defined(name).lower() in taken else [name]
        parts = [dialect.share, *parts] if dialect.share else parts
        return Sql(".".join(dialect.ident(part) for part in parts))

    # Cached, since every statement of a plan has the same few names.
    @lru_cache(maxsize=10_000)
    def ident(name: str) -> Sql:
        return Sql(dialect.ident(_require_defined(name)))

    @lru_cache(maxsize=1_000)
    def table(name: Table) -> Sql:
        own = dialect.ident(_require_defined(name).name)
        return Sql(own if name.schema is None else f"{schema(name.schema)}.{own}")

    def qualifier(name: Table) -> Sql:
        # No document says that Redshift takes columns whose name has four parts.
        return ident(name.name) if dialect.share else table(name)

    def literal(value: Value | Unknown) -> Sql:
        if isinstance(value, Unknown):
            return Sql(f"NULL /* {_comment(value.what)} */")
        return Sql(dialect.literal(_require_defined(value)))

    def column_type(data_type: DataType) -> Sql:
        return Sql(dialect.column_type(_require_defined(data_type)))

    def query(text: str, name: Table, slice_: object) -> Sql:
        queries.check_query(_require_defined(text))
        whole = table(name)
        places = {"table": whole, "slice": "loader_slice" if slice_ else whole}
        return Sql(dialect.default(queries.fill_places(text.strip(), places)))

    return {
        "ident": ident,
        "schema": schema,
        "table": table,
        "qualifier": qualifier,
        "literal": literal,
        "glob": lambda path: literal(_glob(_require_defined(path))),
        "file": lambda path: literal(_escape_glob(_require_defined(path))),
        "text": lambda sql: literal(str(_only_sql(sql))),
        "type": column_type,
        "default": lambda text: Sql(dialect.default(expr(text))),
        "keyword": keyword,
        "expr": lambda text: Sql(dialect.default(expr(text))),
        "query": query,
        "csv": csv,
    }


def expr(text: str) -> Sql:
    """A SQL expression of the spec: the only way to render trusted SQL."""
    if len(_require_defined(text)) > _LONGEST:
        raise ValueError(f"an expression may not be longer than {_LONGEST:,} characters")
    lexer.check_expression(text)
    return Sql(text)


def keyword(word: str) -> Sql:
    """A word of the language out of a closed list, such as an encoding."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", _require_defined(word)):
        raise ValueError(f"{word!r} is not a keyword")
    return Sql(word.upper())


def csv(items: Iterable[object]) -> Sql:
    """SQL pieces with commas between them; never nothing.

    Raises:
        ValueError: the list would be empty.
    """
    pieces = [_only_sql(item) for item in items]
    if not pieces:
        raise ValueError("an empty list has no SQL")
    lines = [""]
    for at, piece in enumerate(pieces):
        text = piece if at == len(pieces) - 1 else f"{piece},"
        if lines[-1] and len(lines[-1]) + len(text) > _LIST_WIDTH:
            lines.append("")
        lines[-1] += f" {text}" if lines[-1] else text
    return Sql("\n    ".join(lines))


def _require_defined(value: T) -> T:
    if isinstance(value, jinja2.Undefined):
        str(value)
    return value


def _comment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9 _-]", "", text)


def _glob(path: str) -> str:
    """A path whose folder is taken literally and whose last part is a pattern."""
    folder, _, pattern = path.rpartition("/")
    return f"{_escape_glob(folder)}/{pattern}"


def _escape_glob(path: str) -> str:
    """The pattern that matches this path and no other."""
    return re.sub(r"([*?\[])", r"[\1]", path)
