"""Saved plans: applied as they were saved, or refused with what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loader.cli.output import reviews
from loader.cli.output.plans import COMMENT_LIMIT
from loader.errors import PlanError
from loader.plan import plan_file
from loader.plan.live_table import Live
from loader.plan.review import Review
from loader.plan.table_changes import plan_change
from loader.sql.templates import read_templates
from tests.plan.drifted import live_of
from tests.plan.test_drift import AMOUNT, BASE, CHANGES, NOTE, columns
from tests.plan.test_plan import TARGETS, make_plan, make_spec, renderer

PLACE = TARGETS["redshift"]


def review(after: dict[str, Any], live: Live | None = None) -> Review:
    spec = make_spec(**after)
    there = live if live is not None else live_of(make_spec(**BASE), "redshift")
    change = plan_change(spec, renderer("redshift"), PLACE, there)
    return Review(change, make_plan(make_spec(**BASE), "redshift"), asked=False)


def saved(tmp_path: Path, document: dict[str, Any]) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def live_document(after: dict[str, Any], live: Live | None = None) -> dict[str, Any]:
    return plan_file.live_document([review(after, live)], PLACE, read_templates())


@pytest.mark.parametrize("name", CHANGES)
def test_documents_are_of_the_published_schema(name: str) -> None:
    """What `plan --format json` prints is what `loader schema plan` promises."""
    before, after = CHANGES[name]
    document = live_document(after, live_of(make_spec(**before), "redshift"))
    jsonschema.validate(document, plan_file.json_schema())
    offline = plan_file.offline_document(
        [make_plan(make_spec(**before), "redshift").to_dict()], PLACE
    )
    jsonschema.validate(offline, plan_file.json_schema())


def test_a_plan_reads_back(tmp_path: Path) -> None:
    """A plan that nobody touched is fresh as long as nothing it was made of changes."""
    wanted = CHANGES["widen"][1]
    document = plan_file.read_plan(saved(tmp_path, live_document(wanted)))
    change = review(wanted).change
    plan_file.check_fresh(document, [change], PLACE, read_templates())


def broken(change: str) -> dict[str, Any]:
    document = live_document(CHANGES["widen"][1])
    match change:
        case "sql":
            document["changes"][0]["outside"][0]["sql"] += " "
        case "loss":
            document["changes"][0]["differences"][0]["destructive"] = True
        case "seal":
            document["fingerprint"]["seal"] = "0" * 64
        case "version":
            document["plan_version"] = 2
        case "no version":
            del document["plan_version"]
        case "a key more":
            document["more"] = 1
        case "a key less":
            del document["changes"][0]["table"]
        case "offline":
            document["fingerprint"] = None
        case "a list":
            return []  # type: ignore[return-value]  # what a plan is not
    return document


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sql", "was edited after it was saved"),
        ("loss", "was edited after it was saved"),
        ("seal", "was edited after it was saved"),
        ("version", "plan_version is 2"),
        ("no version", "is not a plan of version 1"),
        ("a key more", "more: Extra inputs are not permitted"),
        ("a key less", r"changes\.0\.table: Field required"),
        ("offline", "was made without --live"),
        ("a list", "is not a plan of version 1"),
    ],
)
def test_a_plan_of_another_hand_is_refused(tmp_path: Path, change: str, said: str) -> None:
    """Plans that were edited, cut, or are of another version are told apart and not run."""
    with pytest.raises(PlanError, match=said) as caught:
        plan_file.read_plan(saved(tmp_path, broken(change)))
    assert "loader plan --live -o plan.json" in str(caught.value.hint)


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    """A file of something else, or none, is an error that names it."""
    path = tmp_path / "plan.json"
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        plan_file.read_plan(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="is not valid JSON"):
        plan_file.read_plan(path)


def stale(tmp_path: Path, after: dict[str, Any], live: Live) -> str:
    """What is said of a plan for a wider note when the table is this by now."""
    document = plan_file.read_plan(saved(tmp_path, live_document(after)))
    with pytest.raises(PlanError, match="the plan is stale; nothing was changed") as caught:
        plan_file.check_fresh(document, [review(after, live).change], PLACE, read_templates())
    return str(caught.value)


WIDER = columns({**NOTE, "data_type": "varchar(40)"}, {**AMOUNT, "description": "Net."})


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (columns({**NOTE, "data_type": "varchar(30)"}, AMOUNT), "data type of note was"),
        (columns(NOTE, AMOUNT, {"name": "x", "data_type": "date"}), "the column x is new"),
        (columns(NOTE), "the column amount is gone"),
        (columns(AMOUNT, NOTE), "the order of the columns changed"),
        (columns(NOTE, AMOUNT, description="By hand."), "comment changed"),
        (columns(NOTE, {**AMOUNT, "nullable": False}), "nullable of amount was True, is now False"),
    ],
)
def test_a_table_that_changed_makes_a_plan_stale(
    tmp_path: Path, live: dict[str, Any], said: str
) -> None:
    """Each thing that another hand changed in the live table is told."""
    assert said in stale(tmp_path, WIDER, live_of(make_spec(**live), "redshift"))


def test_a_table_that_is_gone_makes_a_plan_stale(tmp_path: Path) -> None:
    """So does a table that was dropped."""
    assert "s.t was a table, and is now absent" in stale(tmp_path, WIDER, "absent")


def test_a_plan_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A table that has a part of the plan already is the plan's own work, and not stale."""
    document = plan_file.read_plan(saved(tmp_path, live_document(WIDER)))
    half = columns({**NOTE, "data_type": "varchar(40)"}, AMOUNT)
    for live in (half, WIDER):
        change = review(WIDER, live_of(make_spec(**live), "redshift")).change
        plan_file.check_fresh(document, [change], PLACE, read_templates())


def test_specs_and_templates_are_part_of_a_plan(tmp_path: Path) -> None:
    """A spec or a template that has changed is told by its name."""
    document = plan_file.read_plan(saved(tmp_path, live_document(WIDER)))
    other = columns({**NOTE, "data_type": "varchar(41)"}, AMOUNT)
    with pytest.raises(PlanError, match="the spec of s/t has changed"):
        plan_file.check_fresh(document, [review(other).change], PLACE, read_templates())
    templates = read_templates()
    kept = templates["redshift/widen_column.sql.j2"]
    templates["redshift/widen_column.sql.j2"] = type(kept)(kept.path, kept.source + "-- x")
    with pytest.raises(PlanError, match=r"template redshift/widen_column\.sql\.j2 has changed"):
        plan_file.check_fresh(document, [review(WIDER).change], PLACE, templates)


def test_a_plan_is_for_its_target() -> None:
    """A plan that was made for one target is not applied to another."""
    document = plan_file.PlanDocument.model_validate(live_document(WIDER))
    plan_file.check_place(document, PLACE)
    with pytest.raises(PlanError, match=r"for the target prod \(redshift\)") as caught:
        plan_file.check_place(document, TARGETS["duckdb"])
    assert caught.value.hint == "apply it with --target prod"


def test_no_secret_is_in_a_plan() -> None:
    """A saved plan tells of the role that reads the bucket, and of no credentials."""
    assert "password" not in json.dumps(live_document(WIDER))


@pytest.mark.parametrize("count", [1, 300, 3_000])
def test_a_comment_is_never_too_long(count: int) -> None:
    """However many tables there are, Markdown fits a pull-request comment and says it is cut."""
    many = [review(WIDER)] * count
    told = reviews.format_markdown(many)
    assert len(told) <= COMMENT_LIMIT
    assert ("Shortened" in told) == (count > 1)
    assert told.count("```") % 2 == 0
    assert told.startswith("### `loader plan --live`")


def test_markdown_is_not_broken_by_what_it_tells() -> None:
    """Bars, tags, stars and fences in names and texts stay what they are."""
    odd = {**NOTE, "name": "a|b *c* <d>", "description": "```\n</details>"}
    told = reviews.format_markdown([review(columns(odd, AMOUNT))])
    assert "a\\|b \\*c\\* &lt;d>" in told
    assert "````sql" in told
