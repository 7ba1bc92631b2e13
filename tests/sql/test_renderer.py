"""The renderer: nothing is printed that a typed filter has not vouched for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.cast.arrow_types import arrow_type
from loader.errors import TemplateError
from loader.spec.partitions import make_slice
from loader.spec.periods import Dimension
from loader.sql import datatypes
from loader.sql.renderer import Renderer, Table, Template, Unknown
from loader.sql.templates import read_templates
from loader.warehouse.registry import get_adapter

CONNECTION = duckdb.connect()
NASTY = [
    *("it's", 'a"b', "a\\", "\\'", "';--", "a;b", "a\nb", "a\n\n  b  \n", "a\r\nb", "\u2028x"),
    *("", " ", "ü", "名前", "🚀", "$$", "$a$", "/*", "*/", "{{ x }}", "{% x %}", "%s", "\t"),
]


def renderer(dialect: str = "duckdb", **templates: str) -> Renderer:
    """A renderer with templates ``x``, ``y`` of the dialect."""
    found = {
        f"{dialect}/{name}.sql.j2": Template(f"templates/{dialect}/{name}.sql.j2", text)
        for name, text in templates.items()
    }
    return Renderer(found, get_adapter(dialect).dialect)


def render(text: str, dialect: str = "duckdb", **facts: Any) -> str:
    return renderer(dialect, x=text).render("x", facts).sql


@pytest.mark.parametrize(
    ("text", "facts", "duck", "red"),
    [
        ("{{ v|ident }}", {"v": 'a"b'}, '"a""b"', '"a""b"'),
        ("{{ v|table }}", {"v": Table("s", "t.u")}, '"s"."t.u"', '"s"."t.u"'),
        ("{{ v|table }}", {"v": Table(None, "t")}, '"t"', '"t"'),
        ("{{ v|literal }}", {"v": "it's \\"}, "'it''s \\'", "'it''s \\\\'"),
        ("{{ v|literal }}", {"v": None}, "NULL", "NULL"),
        ("{{ v|literal }}", {"v": True}, "TRUE", "TRUE"),
        ("{{ v|literal }}", {"v": -7}, "-7", "-7"),
        ("{{ v|literal }}", {"v": Decimal("1E+3")}, "1000", "1000"),
        ("{{ v|literal }}", {"v": Decimal("0.10")}, "0.10", "0.10"),
        ("{{ v|literal }}", {"v": date(2013, 1, 1)}, "DATE '2013-01-01'", "DATE '2013-01-01'"),
        ("{{ v|literal }}", {"v": time(5, 30)}, "TIME '05:30:00'", "TIME '05:30:00'"),
        (
            "{{ v|literal }}",
            {"v": datetime(2013, 1, 1, 5)},
            "TIMESTAMP '2013-01-01 05:00:00'",
            "TIMESTAMP '2013-01-01 05:00:00'",
        ),
        (
            "{{ v|literal }}",
            {"v": datetime(2013, 1, 1, 5, 0, 0, 1, tzinfo=UTC)},
            "TIMESTAMPTZ '2013-01-01 05:00:00.000001+00'",
            "TIMESTAMPTZ '2013-01-01 05:00:00.000001+00'",
        ),
        (
            "{{ v|literal }}",
            {"v": Unknown("rows */ staged")},
            "NULL /* rows  staged */",
            "NULL /* rows  staged */",
        ),
        ("{{ v|type }}", {"v": datatypes.parse("varchar(3)")}, "VARCHAR", "varchar(3)"),
        ("{{ v|type|text }}", {"v": datatypes.parse("super")}, "'JSON'", "'super'"),
        ("{{ v|keyword }}", {"v": "az64"}, "AZ64", "AZ64"),
        ("{{ v|expr }}", {"v": "lower(a)"}, "lower(a)", "lower(a)"),
        (
            "{{ v|default }}",
            {"v": "GETDATE()"},
            "CAST(timezone('UTC', current_timestamp) AS TIMESTAMP)",
            "GETDATE()",
        ),
        ("{{ v|default }}", {"v": "NOW ( )"}, "NOW ( )", "sysdate"),
        ("{{ v|default }}", {"v": "current_timestamp"}, "current_timestamp", "sysdate"),
        ("{{ v|expr }}", {"v": "localtimestamp"}, "localtimestamp", "sysdate"),
        (
            "{{ v|expr }}",
            {"v": "least(a, Now())"},
            "least(a, Now())",
            "least(a, CAST(sysdate AS timestamptz))",
        ),
        (
            "{{ v|expr }}",
            {"v": "least(a, sysdate)"},
            "least(a, CAST(timezone('UTC', current_timestamp) AS TIMESTAMP))",
            "least(a, sysdate)",
        ),
        ("{{ v|expr }}", {"v": "now || 'now()'"}, "now || 'now()'", "now || 'now()'"),
        ("{{ v|map('ident')|csv }}", {"v": ["a", "b"]}, '"a", "b"', '"a", "b"'),
        ("{{ v|glob }}", {"v": "a[1]*/b'/part-*"}, "'a[[]1][*]/b''/part-*'", None),
        ("a{{ newline }}b", {}, "a\nb", "a\nb"),
    ],
)
def test_filters(text: str, facts: dict[str, Any], duck: str, red: str | None) -> None:
    """Each filter writes its kind of value in the dialect's own way."""
    assert render(text, "duckdb", **facts) == duck
    assert red is None or render(text, "redshift", **facts) == red


@pytest.mark.parametrize("text", NASTY)
def test_text_survives_the_warehouse(text: str) -> None:
    """Any text comes back from the database as it went in, as a value and as a name."""
    sql = render("SELECT {{ v|literal }} AS {{ n|ident }}", v=text, n=text or "x")
    with duckdb.connect() as connection:
        found = connection.execute(sql)
        assert [column[0] for column in found.description or ()] == [text or "x"]
        assert found.fetchall() == [(text,)]


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_text_is_one_literal(text: str) -> None:
    """No text ends its own quotes, or is changed by what tidies a statement."""
    sql = render("SELECT\n\n  {{ v|literal }}  ", v=text)
    assert CONNECTION.execute(sql).fetchall() == [(text,)]
    on_redshift = render("SELECT {{ v|literal }}", "redshift", v=text)
    inside = on_redshift.removeprefix("SELECT '").removesuffix("'")
    assert inside.replace("\\\\", "\\").replace("''", "'") == text


@pytest.mark.parametrize(
    ("text", "facts", "message"),
    [
        ("SELECT {{ v }}", {"v": "x"}, "'x' is printed without a filter; pipe it through"),
        ("SELECT {{ 1 }}", {}, "1 is printed without a filter"),
        ("SELECT {{ 'x' }}", {}, "'x' is printed without a filter"),
        ("SELECT {{ none }}", {}, "None is printed without a filter"),
        ("SELECT {{ v|upper }}", {"v": "x"}, "'X' is printed without a filter"),
        ("SELECT {{ v|literal|upper }}", {"v": "x"}, "is printed without a filter"),
        ("SELECT {{ v|literal ~ 'x' }}", {"v": "x"}, "is printed without a filter"),
        ("SELECT {{ v|safe }}", {"v": "x"}, "No filter named 'safe'"),
        ("SELECT {{ v|map('ident')|join(', ') }}", {"v": ["a"]}, "is printed without a filter"),
        ("SELECT {{ v|map('ident')|list }}", {"v": ["a"]}, "is printed without a filter"),
        ("SELECT {{ v|csv }}", {"v": ["a"]}, "'a' is printed without a filter"),
        ("SELECT {{ v|csv }}", {"v": []}, "an empty list has no SQL"),
        ("{% macro m(x) %}{{ x|ident }}{% endmacro %}SELECT {{ m('a') }}", {}, "without a filter"),
        ("{% set x %}a{% endset %}SELECT {{ x }}", {}, "is printed without a filter"),
        ("SELECT {{ v|ident if false }}", {"v": "x"}, "is printed without a filter"),
        ("SELECT {{ nope }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|ident }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|literal }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|expr }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|keyword }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|table }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|type }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|glob }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|default }}", {}, "'nope' is undefined"),
        ("SELECT {{ nope|map('ident')|csv }}", {}, "'nope' is undefined"),
        ("SELECT {% if nope %}1{% endif %}", {}, "'nope' is undefined"),
        ("SELECT {{ v.nope|ident }}", {"v": Table("s", "t")}, "has no attribute 'nope'"),
        ("SELECT {{ v|ident }}", {"v": ""}, "'' cannot be a name: it is empty"),
        ("SELECT {{ v|ident }}", {"v": "a\0"}, "cannot be a name"),
        ("SELECT {{ v|literal }}", {"v": "a\0"}, "holds a NUL character"),
        ("SELECT {{ v|literal }}", {"v": float("nan")}, "is not a finite number"),
        ("SELECT {{ v|literal }}", {"v": [1]}, "cannot be written as a SQL literal"),
        ("SELECT {{ v|keyword }}", {"v": "a b"}, "'a b' is not a keyword"),
        ("SELECT {{ v|keyword }}", {"v": "a;"}, "'a;' is not a keyword"),
        ("SELECT {{ v|expr }}", {"v": "a; b"}, "an expression may not hold a semicolon"),
        ("SELECT {{ v|default }}", {"v": "a -- b"}, "an expression may not hold a comment"),
        ("SELECT {{ 1 / 0 }}", {}, "division by zero"),
        ("SELECT {{ v() }}", {"v": 1}, "not callable"),
    ],
)
def test_what_no_filter_vouches_for_is_refused(
    text: str, facts: dict[str, Any], message: str
) -> None:
    """Bare, undefined and impossible values fail, and name the template's file and line."""
    with pytest.raises(TemplateError) as error:
        render("-- first line\n" + text, **facts)
    assert message in error.value.message
    assert error.value.message.startswith("templates/duckdb/x.sql.j2:2: ")
    assert error.value.__cause__ is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT {{ v", "templates/duckdb/x.sql.j2:1: unexpected end of template"),
        ("SELECT 1\n{% if %}", "templates/duckdb/x.sql.j2:2: Expected an expression"),
        ("SELECT {{ v|nope }}", "templates/duckdb/x.sql.j2:1: No filter named 'nope'."),
        (
            "{% include 'no.sql.j2' %}",
            "templates/duckdb/x.sql.j2: there is no template `no.sql.j2`",
        ),
        ("", "templates/duckdb/x.sql.j2: renders 0 statements, and must render one"),
        ("-- nothing\n;", "templates/duckdb/x.sql.j2: renders 0 statements, and must render one"),
        ("SELECT 1; SELECT 2", "templates/duckdb/x.sql.j2: renders 2 statements, and must render"),
        ("SELECT 'x", "templates/duckdb/x.sql.j2: a `'` never closes"),
        ('SELECT "x', 'templates/duckdb/x.sql.j2: a `"` never closes'),
        ("SELECT 1 /* x", "templates/duckdb/x.sql.j2: a `/*` never closes"),
        ("SELECT 1 /* /* */ */", "templates/duckdb/x.sql.j2: a `/*` never closes"),
        ("SELECT $x$ 1", "templates/duckdb/x.sql.j2: a `$x$` never closes"),
    ],
)
def test_broken_templates_are_named(text: str, message: str) -> None:
    """A template that is no template, or no one statement, is told by its file."""
    with pytest.raises(TemplateError) as error:
        render(text)
    assert error.value.message.startswith(message)
    _, line, *_ = message.split(":")
    # Line 0 is the file as a whole.
    assert error.value.place == ("templates/duckdb/x.sql.j2", int(line) if line.isdigit() else 0)


def test_includes_are_named_when_they_fail() -> None:
    """The file and line of a fault are those of the included template, not of the outer one."""
    found = renderer(x="SELECT 1\n{% include 'y.sql.j2' %}", y="\n{{ v }}")
    with pytest.raises(TemplateError, match=r"^templates/duckdb/y\.sql\.j2:2: ") as raised:
        found.render("x", {"v": 1})
    assert raised.value.place == ("templates/duckdb/y.sql.j2", 2)
    found = renderer(x="SELECT 1\n{% include 'y.sql.j2' %}", y="\n{% if %}")
    with pytest.raises(TemplateError, match=r"^templates/duckdb/y\.sql\.j2:2: ") as broken:
        found.render("x", {})
    assert broken.value.place == ("templates/duckdb/y.sql.j2", 2)


def test_includes_share_facts() -> None:
    """An included template sees the facts of the one that includes it."""
    found = renderer(x="SELECT {% include 'y.sql.j2' %}", y="{{ v|literal }}")
    assert found.render("x", {"v": 1}).sql == "SELECT 1"


def test_a_missing_template_says_what_to_do() -> None:
    """A template of a table's own gets its place; one of ours means the dialect cannot do it."""
    found = renderer(x="SELECT 1")
    with pytest.raises(TemplateError) as own:
        found.render("x", {}, "mine.sql.j2")
    assert own.value.message == "there is no template `mine.sql.j2` for duckdb"
    assert own.value.hint == "put it at templates/duckdb/mine.sql.j2"
    with pytest.raises(TemplateError) as close:
        renderer(mine="SELECT 1", other="SELECT 1").render("x", {}, "mime.sql.j2")
    assert close.value.hint == (
        "put it at templates/duckdb/mime.sql.j2, or did you mean `mine.sql.j2`?"
    )
    with pytest.raises(TemplateError) as ours:
        found.render("y", {})
    assert ours.value.hint == "duckdb cannot do `y`"


def test_the_dialects_own_template_wins() -> None:
    """A dialect's template wins over the ansi one, and that over one in no folder."""
    made = {
        name: Template(name, f"SELECT {at}")
        for at, name in enumerate(["duckdb/x.sql.j2", "ansi/x.sql.j2", "x.sql.j2"], 1)
    }
    chosen = []
    while made:
        found = Renderer(made, get_adapter("duckdb").dialect).render("x", {})
        chosen.append((found.sql, found.path))
        del made[found.path]
    assert chosen == [
        ("SELECT 1", "duckdb/x.sql.j2"),
        ("SELECT 2", "ansi/x.sql.j2"),
        ("SELECT 3", "x.sql.j2"),
    ]


def test_templates_that_are_compiled_once_keep_to_their_own_text_and_filters() -> None:
    """Renderers share compiled templates, not another's text, dialect or name of its database."""
    constant = "SELECT {{ 'it\\\\s'|literal }} FROM {{ 'main'|schema }}.t"
    asked = [(constant, *of) for of in (("duckdb", "main"), ("redshift", "main"), ("duckdb", "x"))]
    found = [
        Renderer({"x.sql.j2": Template("x.sql.j2", text)}, get_adapter(dialect).dialect, catalog)
        .render("x", {})
        .sql
        for text, dialect, catalog in [*asked, ("SELECT 1", "duckdb", "main"), asked[0]]
    ]
    assert len(set(found)) == 4
    assert found[-1] == found[0]


def test_the_predicate_of_a_slice_is_rendered_once() -> None:
    """All statements share what a slice renders to; another slice, and the exact form, do not."""
    rendered: list[int] = []

    class Part:
        def __init__(self, key: int) -> None:
            self.key = key

        @property
        def value(self) -> int:
            rendered.append(self.key)
            return self.key

    found = renderer(
        x="SELECT {{ slice|predicate }}",
        y="SELECT {{ slice|predicate(true) }}",
        boxes="{{ slice.value|literal }}{% if exact %} + 0{% endif %}",
    )
    one, two = Part(1), Part(2)
    asked = [("x", one), ("x", one), ("y", one), ("x", two), ("y", two), ("x", two)]
    assert [found.render(name, {"slice": slice_}).sql for name, slice_ in asked] == [
        *("SELECT 1", "SELECT 1", "SELECT 1 + 0"),
        *("SELECT 2", "SELECT 2 + 0", "SELECT 2"),
    ]
    assert rendered.count(2) == 2  # the sandbox looks twice at the first object of a type


@pytest.mark.parametrize(
    ("kind", "keys", "other"),
    [
        ("integer", [2 * n for n in range(1500)], [-1, 1, 2_147_483_647]),
        ("bigint", [10**15 + 3 * n for n in range(1500)], [10**15 + 1, -(2**63)]),
        ("decimal(6,1)", [Decimal(n) / 4 for n in range(0, 6000, 4)], [Decimal("0.5")]),
        ("date", [date(1, 1, 1) + timedelta(days=2 * n) for n in range(1500)], [date(2026, 1, 1)]),
        (
            "timestamp",
            [datetime(2026, 1, 1, microsecond=1) + timedelta(hours=n) for n in range(1500)],
            [datetime(2026, 1, 1), datetime(9999, 12, 31)],
        ),
        (
            "timestamptz",
            [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(1500)],
            [datetime(2026, 1, 1, 1, tzinfo=UTC)],
        ),
        ("varchar(9)", [f"[{n}, '\"\\" for n in range(1500)], ["[0", "", "NULL"]),
    ],
)
def test_many_listed_keys_select_their_rows(kind: str, keys: list[Any], other: list[Any]) -> None:
    """However DuckDB is given a thousand keys, exactly the rows of these keys are selected."""
    parsed = datatypes.parse(kind)
    slice_ = make_slice([Dimension("k", "k", parsed, "k")], [*keys, keys[0]])
    select = Template("x", "SELECT k FROM t WHERE {{ slice|predicate }}")
    templates = {**read_templates(), "duckdb/x.sql.j2": select}
    found = Renderer(templates, get_adapter("duckdb").dialect).render("x", {"slice": slice_})
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    arrow = pa.table({"k": pa.array([*keys, *other, None], arrow_type(parsed))})
    connection.register("t", arrow)
    assert sorted(row[0] for row in connection.execute(found.sql).fetchall()) == sorted(keys)


def test_blank_lines_go_and_the_last_semicolon() -> None:
    """A statement is printed without the blank lines its template leaves, and without its end."""
    text = "\n{% if true %}\n\n  SELECT 1   \n{% endif %}\n\n  , 2;\n\n"
    assert render(text) == "SELECT 1\n  , 2"
