"""Golden files: they hold facts, so another wording rewrites none, and another fact does."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from loader.spec.catalog import read_entry
from tests.facts import answer_facts, message_facts, screen_facts

BAD = sorted((Path(__file__).parent / "cases" / "specs" / "bad").glob("*.yml"))

PROBLEM = "a.yml:8:12: columns[3].data_type: unknown type `varchr(3)`; did you mean `varchar`?"
OTHER_WORDS = [
    (PROBLEM, PROBLEM.replace("; did you mean", ", an unheard-of one: perhaps")),
    ("a.yml:9:5: checks[0]: one bound, this has 2", "a.yml:9:5: checks[0]: 2 are too many"),
    ("a.yml:9:5: dist: there is no column `x`", "a.yml:9:5: dist: `x` is none of the columns"),
    ("error: No such option '--x'.", "error: There is no option '--x'!"),
    ("  hint: did you mean `id`?", "  hint: perhaps `id` was meant"),
    ("3 rows loaded, 0 deleted, verified", "3 rows are loaded, with 0 deleted, and right"),
    ("-     2  delete the slice: other rows stay", "-     2  delete the slice: and no others"),
    ("| ~ | a | type, by rebuilding it |", "| ~ | a | type, which rebuilds all of it |"),
    ("::error file=a.yml::no `x`%0Ahint: see `y`", "::error file=a.yml::`x` is not%0Ahint: `y`"),
    (
        '{"error": "PlanError", "message": "no `x` is there", "hint": null}',
        '{"error": "PlanError", "message": "`x` is not among them", "hint": null}',
    ),
]


@pytest.mark.parametrize(("before", "after"), OTHER_WORDS)
def test_another_wording_has_the_same_facts(before: str, after: str) -> None:
    """A sentence in other words has the facts that it had."""
    assert screen_facts(before) == screen_facts(after)
    assert screen_facts(before) != before


@pytest.mark.parametrize(
    ("fact", "another"),
    [
        *(("a.yml", "b.yml"), (":8:", ":9:"), (":12:", ":13:"), ("columns[3]", "columns[4]")),
        *(("data_type", "encode"), ("`varchr(3)`", "`varchr(4)`"), ("`varchar`", "`char`")),
        *(("unknown", "missing"), ("type", "key"), ("; did you mean `varchar`?", "")),
    ],
)
def test_another_fact_is_seen(fact: str, another: str) -> None:
    """A problem elsewhere, of another key, value or rule has other facts."""
    assert message_facts(PROBLEM) != message_facts(PROBLEM.replace(fact, another))


def test_answers_differ_by_what_counts() -> None:
    """The exit code, the stream and the severity of an answer are facts, and data is verbatim."""
    answers = [
        answer_facts("plan", 1, "", "error: no `x`"),
        answer_facts("plan", 2, "", "error: no `x`"),
        answer_facts("plan", 1, "error: no `x`", ""),
        answer_facts("plan", 1, "", "warning: no `x`"),
        answer_facts("read s/t", 1, "", "error: no `x`"),
    ]
    assert len(set(answers)) == len(answers)
    data = '[{"why": "so many words", "message": "and more"}]'
    assert data in answer_facts("plan --format json", 0, data, "")
    sql = "  1  count: how many\n           SELECT 'as it is', so many  -- words"
    assert sql.splitlines()[1] in screen_facts(sql)


HELP = """\
Usage: loader clean [OPTIONS] FILE

  Remove what is left.

Options:
  --older-than AGE        How long nothing was written to it.
                          [default: 7d]
  --format [text|json]    Output format.
  -o, --output-to-some-place DIR
                          Where to.  [required]

Commands:
  apply  Create tables.
"""


def test_help_is_its_options_and_commands() -> None:
    """Sentences and line breaks of a page of help are no facts; names, choices and defaults are."""
    told = screen_facts(HELP)
    wrapped = HELP.replace("How long nothing was written to it.\n" + " " * 25, "Its age. ")
    for same in (wrapped, HELP.replace("Where", "The place"), HELP.replace("tables", "much")):
        assert same != HELP
        assert screen_facts(same) == told
    for fact in ("clean", "FILE", "AGE", "7d", "text|json", "-o", "DIR", "required", "apply"):
        assert screen_facts(HELP.replace(fact, "other")) != told


def test_two_rules_have_different_facts() -> None:
    """Two rules have different facts even where they quote the same words at the same place."""
    rules: dict[str, set[str]] = defaultdict(set)
    for path in BAD:
        for problem in read_entry(path, path.parent).problems:
            advice = problem.message.split(";")[0]
            rules[_blank(message_facts(f"a.yml: a: {problem.message}"))].add(_blank(advice))
    assert len(rules) > 150
    assert {facts: told for facts, told in rules.items() if len(told) > 1} == {}


def _blank(text: str) -> str:
    """A text without what it quotes and counts, so that its rule is left."""
    quoted = re.sub(r"`[^`]*`|(?<!\w)'[^']*'(?!\w)", "<quoted>", text)
    return re.sub(r"\d+(,\d{3})*", "9", quoted)
