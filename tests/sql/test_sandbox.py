"""The sandbox: templates reach their facts and nothing of Python, and end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loader.cli import main
from loader.errors import TemplateError
from loader.scaffold import scaffold
from loader.sql import sandbox
from loader.sql.renderer import Renderer, Sql, Table, Template
from loader.warehouse.registry import get_adapter
from tests.plan.test_plan import make_spec

FACTS: Mapping[str, Any] = {
    "spec": make_spec(),
    "v": "it's",
    "items": [1, 2, 3],
    "table": Table("s", "t"),
    "sql": Sql("{0}"),
}


def render(text: str, clock: sandbox.Clock | None = None, **more: str) -> str:
    found = {
        f"duckdb/{name}.sql.j2": Template(f"templates/duckdb/{name}.sql.j2", source)
        for name, source in {"x": text, **more}.items()
    }
    return Renderer(found, get_adapter("duckdb").dialect, clock=clock).render("x", FACTS).sql


def refused(text: str, clock: sandbox.Clock | None = None, **more: str) -> TemplateError:
    with pytest.raises(TemplateError) as error:
        render("-- first line\n" + text, clock, **more)
    return error.value


ESCAPES = [
    "{{ newline.__class__(v) }}",
    "{{ newline['__class__'](v) }}",
    "{{ (newline|attr('__class__'))(v) }}",
    "{{ newline.__class__.__mro__[-1].__subclasses__() }}",
    "{{ ''.__class__ }}",
    "{{ [newline]|map(attribute='__class__')|first }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ range.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ sql.format(v) }}",
    "{{ sql.format_map({'0': v}) }}",
    "{{ (sql|attr('format'))(v) }}",
    "{{ sql['format'](v) }}",
    "{{ '%s' % v }}",
    "{{ spec.parse_file('/etc/passwd') }}",
    "{{ spec.parse_raw('x', proto='pickle', allow_pickle=true) }}",
    "{{ spec.model_validate({}) }}",
    "{{ spec.model_copy() }}",
    "{{ items.append(4) }}",
    "{{ items.__iadd__([4]) }}",
    "{{ (items|map('upper')).gi_frame.f_globals }}",
    "{% set x = v.encode('utf-8') %}",
    "{{ dict(a=newline)|string }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../../etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ v|tojson }}",
    "{{ items|random }}",
    "{% filter replace('?', v) %}SELECT ?{% endfilter %}",
    "{% filter upper %}{{ v|literal }}{% endfilter %}",
    "{% call v.upper() %}{% endcall %}",
    "{% call dict() %}{% endcall %}",
    "{% autoescape true %}{{ v|literal }}{% endautoescape %}",
    "{% for x in items recursive %}{{ loop(items) }}{% endfor %}",
    "{% set x %}{{ v|literal }}{% endset %}{{ x }}",
    "{% macro m() %}{{ v }}{% endmacro %}{{ m() }}",
    "{{ newline ~ v }}",
    "{{ newline + v }}",
    "{{ v|replace('i', 'I') }}",
    "{{ [newline, v]|join }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_way_leads_out(text: str) -> None:
    """What reaches for Python, or prints what no filter vouched for, fails in its line."""
    error = refused(f"SELECT {text}")
    assert error.message.startswith("templates/duckdb/x.sql.j2:")
    if "include" not in text and "import" not in text:
        assert error.place == ("templates/duckdb/x.sql.j2", 2)
    assert "root:" not in str(error)


BOMBS = [
    "{% for a in range(1000000000) %}{% endfor %}",
    "{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}",
    "{% for a in range(2000) %}{% for b in range(2000) if b < 0 %}{% endfor %}{% endfor %}",
    "{% for a in range(90000) %}{{ 'x' * 1000 }}{% endfor %}",
    "{% for a in range(90000) %}" + "x" * 1000 + "{% endfor %}",
    "{% set x %}{% for a in range(90000) %}" + "x" * 1000 + "{% endfor %}{% endset %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
    "{% set n = namespace(x=(1,)) %}{% for a in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}",
    "{% set n = namespace(x={}) %}{% for a in range(99) %}{% set n.x = {1: n.x} %}{% endfor %}",
    "{% set n = namespace(x={}) %}{% for a in range(99) %}{% set n.x = dict(a=n.x) %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}"
    "{% set n.x = n.x|replace('a', n.x) %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}"
    "{% set n.x = [n.x, n.x]|join(n.x) %}{% endfor %}",
    "{% set n = namespace(x='1') %}{% for a in range(99) %}"
    "{% set n.x %}{{ n.x|expr }}{{ n.x|expr }}{% endset %}{% endfor %}",
    "{% set n = namespace(x=9) %}{% for a in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set x = 9 ** 99999999 %}",
    "{{ 'x' * 10 ** 10 }}",
    "{% set x = [1] * 10 ** 10 %}",
    "{% set x = '%999999999d' % 1 %}",
    "{% set x = v.ljust(10 ** 10) %}",
    "{% set x = v|center(10 ** 10) %}",
    "{% set x = 1|round(10 ** 10, 'ceil') %}",
    "{% set x = 'a'|indent(10 ** 10, true) %}",
    "{% set n = namespace(x='a\\nb') %}{% for a in range(99) %}"
    "{% set n.x = n.x|indent(9999) %}{% endfor %}",
    "{% set x = [[1]] * 2 %}",
    "{% set x = [[1], [2]]|sum(start=[]) %}",
    "{% set x = [v, v]|sum(start='') %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{% set a = m(n - 1) %}{% set b = m(n - 1) %}{% endif %}"
    "{% endmacro %}{% set x = m(60) %}",
    "{% include 'x.sql.j2' %}",
]


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_nothing_goes_on_and_on(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take forever, or all memory, is stopped in its line, and soon."""
    monkeypatch.setattr(sandbox, "STEPS", 100_000)
    monkeypatch.setattr(sandbox, "CHARACTERS", 1_000_000)
    error = refused(text)
    assert error.message.startswith("templates/duckdb/x.sql.j2:")
    assert error.place[1] in (1, 2)


def test_limits_are_those_of_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement is counted anew, and the line that goes too far is named, includes too."""
    monkeypatch.setattr(sandbox, "STEPS", 50)
    found = Renderer(
        {"x.sql.j2": Template("t/x.sql.j2", "{% for a in range(40) %}{% endfor %}SELECT 1")},
        get_adapter("duckdb").dialect,
    )
    assert {found.render("x", {}).sql for _ in range(5)} == {"SELECT 1"}
    error = refused("{% include 'y.sql.j2' %}", y="\n\n{% for a in range(60) %}{% endfor %}")
    assert error.place == ("templates/duckdb/y.sql.j2", 3)
    assert "50 steps" in error.message
    assert error.hint


def test_the_clock_stops_what_takes_long() -> None:
    """Work is timed where a clock is given: a template that takes too long is stopped."""
    ticks = itertools.count(step=3.0)
    text = "{% for a in range(5000) %}{% endfor %}SELECT 1"
    assert render(text) == "SELECT 1"
    assert "10 seconds" in refused(text, lambda: float(next(ticks))).message


def test_what_templates_need_is_there() -> None:
    """Loops with their helpers, mappings, text methods and filters work as in Jinja."""
    text = """
    SELECT {% for i in items if i > 1 %}{{ i|literal }}{% if not loop.last %}, {% endif %}
    {% endfor %}
    {% for k, x in {"a": 1}.items() %}, {{ (k ~ x ~ loop.length)|ident }}{% endfor %}
    , {{ v.upper()|literal }}, {{ [3, 1]|sort|map("literal")|csv }}
    {% set n = namespace(x=0) %}{% for i in items %}{% set n.x = n.x + i %}{% endfor %}
    , {{ n.x|literal }}, {{ "a.b".split(".")|last|ident }}
    , {{ [table, table]|map(attribute="name")|join("-")|replace("t", "u")|literal }}
    """
    words = "".join(render(text).split())
    assert words == "SELECT2,3,\"a11\",'IT''S',1,3,6,\"b\",'u-u'"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ {}.get('a')|d('x', true)|literal }}", "'x'"),
        ("{{ none_such|d(v)|literal }}", "'it''s'"),
        ("{{ items|sum|literal }}", "6"),
        ("{{ ['a', 'bc']|map('length')|sum(start=1)|literal }}", "4"),
        ("{{ [spec]|sum(attribute='version')|literal }}", "1"),
        ("{{ 2.25|round(1, 'floor')|literal }}", "2.2"),
        ("{{ 'one two three'|truncate(7, true, '')|literal }}", "'one two'"),
        ("{{ 'a\\nb'|indent(2)|literal }}", "'a\n  b'"),
    ],
)
def test_filters_that_people_know_work(text: str, found: str) -> None:
    """Jinja's filters of defaults, sums, rounding and layout are there, within their limits."""
    assert render(text) == found


@given(st.text(max_size=40))
def test_whatever_stands_in_a_template_it_is_rendered_or_told(text: str) -> None:
    """A template of any text gives a statement, or an error that names it; nothing else happens."""
    for source in ("SELECT {{ " + text + " }}", "{% " + text + " %}", text):
        try:
            render(source)
        except TemplateError as error:
            assert error.message.startswith(("templates/duckdb/x.sql.j2", "there is no template"))  # noqa: PT017


@pytest.mark.parametrize("name", ["specs/x.yml", "templates/duckdb/count.sql.j2"])
def test_links_out_of_the_project_are_not_followed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a file elsewhere is refused by its name, and nothing of that file is told."""
    (tmp_path / "secret").write_text("aws_key: hunter2-secret\n")
    project = tmp_path / "project"
    scaffold(project)
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).symlink_to(tmp_path / "secret")
    monkeypatch.chdir(project)
    for form in ("text", "json", "github"):
        done = CliRunner().invoke(main, ["validate", "--format", form])
        assert done.exit_code == 1
        assert name in done.stdout + done.stderr
        assert "aws_key" not in done.stdout + done.stderr
    (project / name).unlink()
    (project / "own").write_text("SELECT count(*) FROM {{ table|table }}")
    if name.startswith("templates"):
        (project / name).symlink_to(project / "own")
        assert CliRunner().invoke(main, ["validate"]).exit_code == 0


def test_specs_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks like a variable or a template in a spec is text."""
    monkeypatch.setenv("HUNTER", "hunter2-secret")
    spec = make_spec(description="${HUNTER} {{ 1 + 1 }}")
    assert spec.description == "${HUNTER} {{ 1 + 1 }}"


def test_a_stranger_hears_where_a_template_went_too_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`validate` and `plan` tell the template and the line of what the sandbox refuses."""
    scaffold(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "templates" / "ansi" / "create_schema.sql.j2"
    path.parent.mkdir(parents=True)
    path.write_text("SELECT\n{{ newline.__class__('x') }}")
    for words in (["validate"], ["validate", "--format", "github"], ["plan"]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 1
        assert re.search(r"create_schema\.sql\.j2(:2:|,line=2)", done.stdout + done.stderr)
