"""The transaction of a load, where every statement can fail: order, retries, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from loader.errors import ExecuteError, LoaderError, PlanError, VerifyError
from loader.plan.figures import Figure
from loader.plan.loading import Evolution
from loader.plan.model import Plan
from loader.spec.partitions import make_slice
from loader.warehouse import retry
from loader.warehouse.base import Session
from loader.warehouse.ledger import LoadRecord
from tests.executor.scripted import (
    COLUMNS,
    DIALECTS,
    ROWS,
    TABLE,
    Scene,
    conflict,
    lost,
    make_live,
    make_spec,
    refused,
)

LOCK = "lock the ledger of the table"
FIND = "look for this load"
UNCHANGED = "rolled back; s.t is unchanged"
LEDGERS = {
    "duckdb": ["describe loader.loads"],
    "redshift": ["describe loader.loads", "describe loader.loads_s_t"],
    "share": ["describe loader.loads", "describe loader.loads_s_t"],
}
SESSION = {"duckdb": [], "redshift": ["label the queries"], "share": ["label the queries"]}
BEFORE = {
    "duckdb": LEDGERS["duckdb"],
    "redshift": [*SESSION["redshift"], *LEDGERS["redshift"]],
    "share": [*SESSION["share"], *LEDGERS["share"], "make the row to update"],
}
COPIED = ["copy", "count copied rows"]
ROWS_OF = {
    "duckdb": ["delete all rows", "copy", "count"],
    "redshift": ["delete all rows", *COPIED, "count"],
    "share": ["delete all rows", *COPIED, "count"],
}
OPENING = {
    "duckdb": ["describe s.t", FIND],
    "redshift": [LOCK, "describe s.t", FIND],
    "share": [LOCK, "describe s.t", FIND],
}
RECORD = {
    "duckdb": ["record the load"],
    "redshift": ["record the load for the table", "record the load"],
    "share": ["record the load for the table", "record the load"],
}
INSIDE = {one: [*OPENING[one], *ROWS_OF[one], *RECORD[one]] for one in DIALECTS}
STEPS = [(one, step) for one in DIALECTS for step in ("open", *BEFORE[one], "BEGIN", *INSIDE[one])]
ON_REDSHIFT = ("redshift", "share")
EVOLVE = {"schema_contract": {"evolve": "additive"}}
QUERIES = {"describe s.t", "describe loader.loads", "describe loader.loads_s_t"}
AFTER_LOSS = ["wait for locks", "BEGIN", LOCK, FIND, "COMMIT"]

NONE_NULL = {"metric": "null_values", "column": "note", "must_be": 0}
ANY_ROWS = {"metric": "row_count", "must_be_greater_than": 0}
CHECK, SAMPLE = "check null_values note", "rows of null_values note"
WARN = {**NONE_NULL, "severity": "warning"}


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda _: None))


def fail(scene: Scene, **options: Any) -> ExecuteError:
    """The error of a load that must fail."""
    with pytest.raises(ExecuteError) as caught:
        scene.run(**options)
    return caught.value


# --- order


@pytest.mark.parametrize("dialect", DIALECTS)
def test_statements_run_in_order_in_one_transaction(dialect: str) -> None:
    """Session and ledger come before BEGIN; then the lock, the live table, rows, ledger, COMMIT."""
    scene = Scene(dialect)
    told: list[str] = []

    def tell(statement: Any) -> None:
        told.append(statement.name)
        scene.announce(statement)

    outcome = scene.run(on_statement=tell, before_commit=lambda: scene.seen.append("before COMMIT"))
    inside = [*INSIDE[dialect], "before COMMIT", "COMMIT"]
    assert scene.seen == ["open", *BEFORE[dialect], "BEGIN", *inside, "close"]
    assert told == [name for name in scene.seen if name in set(scene.names.values()) - QUERIES]
    assert (outcome.rows_deleted, outcome.rows_loaded, outcome.rows_after) == (3, ROWS, ROWS)
    assert (outcome.record, outcome.warnings, outcome.merge_counts) == (None, [], None)
    assert outcome.evolution == Evolution()
    assert [live for live, _ in scene.built] == ["unseen", make_live(dialect)]
    assert outcome.plan.sql == scene.build(make_live(dialect), Evolution()).sql


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_but_the_warehouse_is_needed(dialect: str) -> None:
    """Without anybody who listens, explains or has the last word, a load is the same."""
    scene = Scene(dialect)
    scene.run(on_statement=None)
    assert scene.seen[-2:] == ["COMMIT", "close"]


@pytest.mark.parametrize(
    ("live", "created"),
    [
        ("no schema", ["create the schema", "create the table"]),
        ("absent", ["create the table"]),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_missing_table_is_created_inside(dialect: str, live: Any, created: list[str]) -> None:
    """Table and schema are created in the transaction of their first rows, after the ledger."""
    scene = Scene(dialect, live=live)
    scene.run()
    inside = scene.seen[scene.seen.index("BEGIN") :]
    found = inside.index(FIND)
    assert [name for name in inside if name.startswith("create the ")] == created
    assert inside[found + 1 : found + 1 + len(created)] == created
    assert [live for live, _ in scene.built] == ["unseen", live]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_hooks_run_where_the_spec_says(dialect: str) -> None:
    """Hooks outside run right before BEGIN, those inside around the rows."""
    hooks = [
        {"template": "analyze", "when": "before", "transaction": "outside"},
        {"template": "analyze", "when": "before"},
        {"template": "analyze"},
    ]
    scene = Scene(dialect, fields={"hooks": hooks})
    scene.run()
    hook = "hook analyze"
    inside = [*OPENING[dialect], hook, *ROWS_OF[dialect], hook, *RECORD[dialect]]
    assert scene.seen[1:-1] == [*BEFORE[dialect], hook, "BEGIN", *inside, "COMMIT"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_missing_ledger_is_made_before(dialect: str) -> None:
    """The ledger is made in a transaction of its own, before the load's."""
    scene = Scene(dialect)
    scene.tables |= dict.fromkeys(scene.ledgers, "absent")
    scene.run()
    first, last = (at for at, name in enumerate(scene.seen) if name == "COMMIT")
    assert "create the ledger" in scene.seen[:first]
    assert scene.seen[first + 1 : last].count("BEGIN") == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_ledger_none_is_asked_or_locked(dialect: str) -> None:
    """A target without a ledger reads the live table and loads; the last statement counts rows."""
    scene = Scene(dialect, ledger="")
    scene.run()
    assert scene.seen[1:-1] == [
        *SESSION[dialect],
        *("BEGIN", "describe s.t", *ROWS_OF[dialect], "COMMIT"),
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_rows_are_told_as_none(dialect: str) -> None:
    """A load of no rows copies nothing and says so, and its id is in the ledger all the same."""
    scene = Scene(dialect, rows=0)
    outcome = scene.run()
    assert scene.seen[-2 - len(RECORD[dialect]) : -2] == RECORD[dialect]
    assert (outcome.rows_deleted, outcome.rows_loaded, outcome.rows_after) == (0, 0, None)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_counts_of_a_merge_are_told(dialect: str) -> None:
    """What a merge inserted and updated is in its outcome."""
    fields = {"write_disposition": "merge", "primary_key": ["id"]}
    answers: dict[str, list[Any]] = {
        "count the merge": [(4, 2, 1, 0, 0, 5)],
        "look for missing keys": [(0,)],
        "count after": [(9,)],
    }
    scene = Scene(dialect, fields=fields, answers=answers)
    outcome = scene.run()
    counts = outcome.merge_counts
    assert counts is not None
    assert (counts.rows_inserted, counts.rows_updated, counts.rows_unchanged) == (4, 2, 1)
    assert (outcome.rows_loaded, outcome.rows_after) == (ROWS, 9)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_given_session_is_used_first_and_left_open(dialect: str) -> None:
    """The first attempt uses the session that is open already; the next ones open their own."""
    scene = Scene(dialect, script={"copy": [lost()]})
    with scene.session() as session:
        assert scene.run(session=session).rows_loaded == ROWS
        assert scene.seen.count("open") == 2
        assert scene.seen.count("close") == 1
    assert "COMMIT" not in scene.attempts()[0]


# --- statements that fail


@pytest.mark.parametrize(("dialect", "step"), STEPS)
def test_a_statement_that_fails_rolls_back(dialect: str, step: str) -> None:
    """Whichever fails, the table is as it was, this is told, and nothing is tried again."""
    scene = Scene(dialect, script={step: [refused(hint="do this", code="XX000")]})
    error = fail(scene)
    assert (error.rolled_back, error.transient, error.hint) == (True, False, "do this")
    assert "COMMIT" not in scene.seen
    assert scene.seen.count("open") == 1
    if step in INSIDE[dialect]:
        assert scene.seen[scene.seen.index(step) + 1] == "ROLLBACK"
    if step in ROWS_OF[dialect]:
        assert f"refused\n{UNCHANGED}" in error.message
    if step != "open":
        assert scene.seen[-1] == "close"


@pytest.mark.parametrize(("dialect", "step"), STEPS)
def test_a_transient_error_repeats_the_whole_load(dialect: str, step: str) -> None:
    """After a lost connection all statements run again in a new session, with the same outcome."""
    expected = Scene(dialect).run()
    scene = Scene(dialect, script={step: [lost()]})
    assert scene.run() == expected
    assert scene.attempts()[1:] == [[*BEFORE[dialect], "BEGIN", *INSIDE[dialect], "COMMIT"]]
    assert scene.seen.count("COMMIT") == 1


CHANGES: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "history": (
        {
            "columns": [*COLUMNS, {"name": "at", "data_type": "timestamp"}],
            "write_disposition": "scd2",
            "scd2": {"effective_at": "at", "on_absent": "close", "deleted_when": "note = 'D'"},
        },
        {
            "look for other times": [(0, None, None)],
            "count the history": [(3, 1, 1, 0, 1, 1, 2, 1, 20)],
            "correct versions": [(1,)],
            "close versions": [(3,)],
            "insert versions": [(3,)],
            "remove versions": [(1,)],
            "count after": [(22,)],
        },
    ),
    "late rows": (
        {
            "columns": [*COLUMNS, {"name": "at", "data_type": "date"}],
            "write_disposition": "scd2",
            "scd2": {"effective_at": "at", "on_late": "fail"},
        },
        {
            "look for late rows": [(0, None)],
            "count the history": [(7, 0, 0, 0, 0, 0, 0, 0, 2)],
            "count after": [(9,)],
        },
    ),
    "deletes": (
        {"write_disposition": "merge", "merge": {"deleted_when": "note = 'D'"}},
        {
            "count the merge": [(2, 1, 2, 0, 0, 2, 1, 9)],
            "delete rows": [(2,)],
            "delete matching rows": [(2,)],
            "insert the rows": [(4,)],
            "count after": [(9,)],
        },
    ),
    "soft deletes": (
        {
            "write_disposition": "merge",
            "merge": {
                "deleted_when": "note = 'D'",
                "soft_delete": "gone",
                "strategy": "merge",
                "order_by": ["note"],
                "on_duplicate": "last",
            },
        },
        {
            "count the merge": [(2, 1, 2, 0, 0, 2, 1, 9)],
            "skip older rows": [(0,)],
            "mark deleted rows": [(3,)],
            "merge": [(4,)],
            "count after": [(11,)],
        },
    ),
}
"""Histories and deletes, with what the warehouse answers to their statements."""


def make_changes(kind: str, dialect: str, script: Any = None) -> Scene:
    fields, answers = CHANGES[kind]
    zero = {name: [(0,)] for name in LOOKS}
    spec = {"primary_key": ["id"], **fields}
    columns = [(column.name, str(column.data_type)) for column in make_spec(**spec).columns]
    live = make_live(dialect, *columns)
    return Scene(dialect, script or {}, spec, live, answers={**zero, **answers})


LOOKS = (
    "look for ties",
    "look for later versions",
    "look for missing rows",
    "look for broken histories",
    "look for absent keys",
    "look for deleted keys",
    "look for missing keys",
)
"""Statements that count what is wrong."""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", CHANGES)
def test_any_statement_of_a_history_or_a_delete_may_fail(kind: str, dialect: str) -> None:
    """Whichever fails, all is rolled back; whichever loses its connection, all is done again."""
    whole = make_changes(kind, dialect)
    expected = whole.run()
    inside = whole.seen[whole.seen.index("BEGIN") + 1 : whole.seen.index("COMMIT")]
    for step in dict.fromkeys(inside):
        scene = make_changes(kind, dialect, {step: [refused()]})
        error = fail(scene)
        assert (error.rolled_back, error.transient) == (True, False), step
        assert "COMMIT" not in scene.seen
        assert UNCHANGED in error.message or step not in inside[inside.index("copy") :]
        scene = make_changes(kind, dialect, {step: [lost()]})
        assert scene.run() == expected, step
        assert scene.seen.count("COMMIT") == 1


@pytest.mark.parametrize("kind", CHANGES)
def test_every_count_of_a_history_or_a_delete_is_compared(kind: str) -> None:
    """Any number that is not what was counted before, or any row that is wrong, rolls back."""
    _, answers = CHANGES[kind]
    whole = make_changes(kind, "duckdb")
    counts = whole.run().merge_counts
    assert counts is not None
    assert counts.rows == ROWS
    told = {name: rows[0] for name, rows in answers.items()}
    told |= {name: (0,) for name in LOOKS if name in whole.seen}
    for name, row in told.items():
        error = fail(make_changes(kind, "duckdb", {name: [[(row[0] + 1, *row[1:])]]}))
        assert isinstance(error, VerifyError), name
        assert error.rolled_back
        assert error.hint


@pytest.mark.parametrize("dialect", DIALECTS)
def test_counts_are_those_of_the_last_attempt(dialect: str) -> None:
    """What an attempt deleted that was rolled back is not told, nor added to the next one's."""
    scene = Scene(dialect, script={"delete all rows": [[(90,)]], "record the load": [lost()]})
    assert scene.run() == Scene(dialect).run()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_attempts_are_limited(dialect: str) -> None:
    """An error that does not pass is told after some attempts, and the table is as it was."""
    scene = Scene(dialect, script={"copy": [lost()] * 100})
    error = fail(scene)
    assert (error.rolled_back, error.transient) == (True, True)
    assert scene.seen.count("copy") == retry.ATTEMPTS


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ValueError("broken")])
def test_what_is_no_error_of_a_warehouse_rolls_back(dialect: str, stop: BaseException) -> None:
    """An interrupt, or a fault of another kind, passes on unchanged after ROLLBACK."""
    scene = Scene(dialect, script={"copy": [stop]})
    with pytest.raises(type(stop)) as caught:
        scene.run()
    assert caught.value is stop
    assert scene.seen[-2:] == ["ROLLBACK", "close"]


def last_word(scene: Scene, *errors: LoaderError) -> Callable[[], None]:
    """Raises each of the errors once, and then nothing."""
    left = list(errors)

    def before_commit() -> None:
        scene.act("before COMMIT")
        if left:
            raise left.pop()

    return before_commit


@pytest.mark.parametrize("error", [LoaderError("files changed"), refused("files changed")])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_last_word_rolls_back(dialect: str, error: LoaderError) -> None:
    """What is raised when all statements have run passes on after ROLLBACK, without COMMIT."""
    scene = Scene(dialect)
    with pytest.raises(LoaderError) as caught:
        scene.run(before_commit=last_word(scene, error))
    assert caught.value is error
    at = scene.seen.index("before COMMIT")
    assert scene.seen[at - 1 : at + 2] == ["record the load", "before COMMIT", "ROLLBACK"]
    assert "COMMIT" not in scene.seen


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_transient_last_word_repeats_the_load(dialect: str) -> None:
    """Where what is raised before COMMIT may pass, the whole load runs again."""
    scene = Scene(dialect)
    scene.run(before_commit=last_word(scene, lost()))
    assert [one.count("COMMIT") for one in scene.attempts()] == [0, 1]


# --- the ledger has the load


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_load_in_the_ledger_is_not_repeated(dialect: str) -> None:
    """Where the ledger has the load id, nothing is written, and its record is the outcome."""
    row = (None, 40, 5, 2, "elsewhere/manifest.json")
    scene = Scene(dialect, records=[row])
    outcome = scene.run()
    assert scene.seen[-3:] == [FIND, "ROLLBACK", "close"]
    assert outcome.record == LoadRecord(*row)
    assert (outcome.rows_loaded, outcome.rows_deleted, outcome.rows_after) == (40, 0, None)
    assert outcome.plan.sql == scene.build(make_live(dialect), Evolution()).sql


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_load_id_of_another_slice_is_refused(dialect: str) -> None:
    """A load id that another slice of the table was loaded with is told, not taken for this one."""
    scene = Scene(dialect, records=[("note=AA", 40, 5, 2, "m")])
    error = fail(scene)
    assert "load-1" in error.message
    assert "note=AA" in error.message
    assert (error.rolled_back, error.transient) == (True, False)
    assert scene.seen[-3:] == [FIND, "ROLLBACK", "close"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_load_of_the_same_slice_is_found(dialect: str) -> None:
    """A record is compared by its slice, as the ledger describes it."""
    fields = {"partition_by": [{"expr": "note"}]}
    slice_ = make_slice(make_spec(**fields).dimensions, "AA")
    scene = Scene(dialect, fields=fields, slice=slice_, records=[("note=AA", 4, 5, 2, "m")])
    assert scene.run().rows_loaded == 4


# --- COMMIT whose outcome is not known


def commit_lost(scene: Scene, *records: Any, error: BaseException | None = None) -> None:
    """The next COMMIT fails, and then the ledger has these records."""

    def act() -> None:
        scene.records = list(records)
        raise error or lost("gone", hint="mind the line")

    scene.left["COMMIT"] = [act]


def asked(dialect: str, *, times: int = 1) -> list[list[str]]:
    """How the ledger is asked after a lost COMMIT, in sessions of their own."""
    own = ["describe loader.loads", FIND] if dialect == "duckdb" else AFTER_LOSS
    return [own] * times


@pytest.mark.parametrize("rows", [ROWS, 0])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_commit_that_the_ledger_has_is_a_success(dialect: str, rows: int) -> None:
    """Where the ledger has the run's own record, the load is done, with its own figures."""
    expected = Scene(dialect, rows=rows).run()
    scene = Scene(dialect, rows=rows)
    commit_lost(scene, scene.own)
    assert scene.run() == expected
    assert scene.attempts()[1:] == asked(dialect)


@pytest.mark.parametrize("rows", [ROWS, 0])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_commit_of_another_run_is_told_from_the_ledger(dialect: str, rows: int) -> None:
    """Where the ledger has another run of this load id, the outcome is that run's record."""
    scene = Scene(dialect, rows=rows)
    row = (None, 40, 5, 2, "elsewhere/manifest.json")
    commit_lost(scene, row)
    outcome = scene.run()
    assert outcome.record == LoadRecord(*row)
    assert (outcome.rows_loaded, outcome.rows_deleted) == (40, 0)
    assert len(scene.attempts()) == 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_commit_that_the_ledger_lacks_is_repeated(dialect: str) -> None:
    """Where the ledger does not have the load, all of it runs again, once."""
    expected = Scene(dialect).run()
    scene = Scene(dialect)
    commit_lost(scene)
    assert scene.run() == expected
    whole = [*BEFORE[dialect], "BEGIN", *INSIDE[dialect], "COMMIT"]
    assert scene.attempts() == [whole, *asked(dialect), whole]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failed_commit_that_the_ledger_lacks_is_told(dialect: str) -> None:
    """An error of COMMIT that stays is told when the ledger says that nothing was committed."""
    scene = Scene(dialect)
    commit_lost(scene, error=refused("disk full", hint="make room"))
    error = fail(scene)
    assert "COMMIT" in error.message
    assert "disk full" in error.message
    assert "ledger" in error.message
    assert "unchanged" in error.message
    assert (error.rolled_back, error.transient) == (True, False)
    assert (error.hint, error.statement) == ("make room", "COMMIT")
    assert scene.attempts()[1:] == asked(dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_ledger_that_is_out_of_reach_for_a_moment_is_asked_again(dialect: str) -> None:
    """The ledger itself is asked as often as it takes, each time in a new session."""
    scene = Scene(dialect, script={FIND: [None, lost(), lost()]})
    commit_lost(scene, scene.own)
    assert scene.run().record is None
    assert len(scene.attempts()) == 4


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_nobody_knows_is_told_and_not_repeated(dialect: str) -> None:
    """Where the ledger cannot be read, the outcome is told as unknown, and how to find out."""
    scene = Scene(dialect, script={FIND: [None, refused("no ledger today")]})
    commit_lost(scene, scene.own)
    error = fail(scene)
    assert "unknown" in error.message
    assert "gone" in error.message
    assert "no ledger today" in error.message
    assert "load-1" in str(error.hint)
    assert (error.rolled_back, error.transient) == (False, False)
    assert scene.seen.count("copy") == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_ledger_a_lost_commit_is_unknown(dialect: str) -> None:
    """A target without a ledger cannot find out: it says so, and how it could."""
    scene = Scene(dialect, ledger="")
    commit_lost(scene)
    error = fail(scene)
    assert "unknown" in error.message
    assert "ledger_schema" in str(error.hint)
    assert (error.rolled_back, error.transient) == (False, False)
    assert len(scene.attempts()) == 1


@pytest.mark.parametrize("rows", [ROWS, 0])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_commit_beside_a_load_of_another_slice_is_told(dialect: str, rows: int) -> None:
    """A record of another slice under this load id is no success of this load."""
    scene = Scene(dialect, rows=rows)
    commit_lost(scene, ("note=AA", ROWS, 5, 2, scene.own[-1]))
    error = fail(scene)
    assert "note=AA" in error.message
    assert error.rolled_back


@pytest.mark.parametrize(("transient", "attempts"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_commit_that_was_rolled_back_needs_no_ledger(
    dialect: str, transient: bool, attempts: int
) -> None:
    """Where the warehouse itself says that it rolled back, the ledger is not asked."""
    error = refused("1023", rolled_back=True, transient=transient)
    scene = Scene(dialect, script={"COMMIT": [error]})
    if transient:
        assert scene.run().rows_loaded == ROWS
    else:
        assert fail(scene).message == f"COMMIT failed: 1023\n{UNCHANGED}"
    assert scene.seen.count("open") == len(scene.attempts()) == attempts
    assert "wait for locks" not in scene.seen


# --- interrupts of COMMIT


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_interrupted_commit_that_the_ledger_has_is_a_success(dialect: str) -> None:
    """Ctrl-C in a COMMIT that went through ends as the load would have."""
    expected = Scene(dialect).run()
    scene = Scene(dialect)
    commit_lost(scene, scene.own, error=KeyboardInterrupt())
    assert scene.run() == expected
    assert scene.attempts()[1:] == asked(dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_interrupted_commit_of_another_run_is_told_from_the_ledger(dialect: str) -> None:
    """Ctrl-C in a COMMIT ends with the record of the run that has loaded this id."""
    scene = Scene(dialect)
    commit_lost(scene, (None, 40, 5, 2, "elsewhere"), error=KeyboardInterrupt())
    outcome = scene.run()
    assert outcome.record is not None
    assert outcome.rows_loaded == 40


@pytest.mark.parametrize(
    ("ledger", "found", "note"),
    [("loader", None, ""), ("loader", refused("no luck"), "no luck"), ("", None, "no ledger")],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_interrupted_commit_passes_on_with_what_is_known(
    dialect: str, ledger: str, found: ExecuteError | None, note: str
) -> None:
    """Ctrl-C in a COMMIT that did not go through passes on; a note says what nobody knows."""
    scene = Scene(dialect, script={FIND: [None, found]}, ledger=ledger)
    commit_lost(scene, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        scene.run()
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == bool(note)
    assert note in "".join(notes)
    assert all("unknown" in one for one in notes)
    assert scene.seen.count("copy") == 1


# --- the state of each attempt


@pytest.mark.parametrize("dialect", DIALECTS)
def test_warnings_are_those_of_the_last_attempt(dialect: str) -> None:
    """A check that warned in an attempt that was rolled back is told once, as it came out last."""
    scene = Scene(
        dialect,
        fields={"checks": [WARN]},
        script={CHECK: [[(8,)], [(2,)]], "record the load": [lost()]},
        answers={SAMPLE: [(1, None)]},
    )
    (warning,) = scene.run().warnings
    assert "is 2" in warning


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_attempt_tells_nothing_of_the_live_table(dialect: str) -> None:
    """An attempt that has not read the live table yet compares it with nothing."""
    first = "BEGIN" if dialect == "duckdb" else LOCK
    scene = Scene(dialect)

    def lose() -> None:
        scene.tables[TABLE] = make_live(dialect, ("id", "bigint"))
        raise lost()

    scene.left |= {"copy": [lose], first: [None, refused()]}
    assert not fail(scene).transient
    assert scene.seen.count("describe s.t") == 1
    assert scene.seen.count("open") == 2


# --- the lock


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_who_waits_too_long_for_another_load_tries_again(dialect: str) -> None:
    """A lock that times out is another load at work: it is tried again, and told when it stays."""
    cancelled = refused("cancelled", code=retry.CANCELLED)
    assert Scene(dialect, script={LOCK: [cancelled]}).run().rows_loaded == ROWS
    scene = Scene(dialect, script={LOCK: [refused(code=retry.CANCELLED) for _ in range(100)]})
    error = fail(scene)
    assert "another load" in str(error.hint)
    assert (error.rolled_back, error.transient) == (True, True)
    assert scene.seen.count("open") == retry.ATTEMPTS


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
@pytest.mark.parametrize(
    ("step", "code"), [("copy", retry.CANCELLED), (LOCK, "42501"), (LOCK, ""), ("copy", "")]
)
def test_only_a_lock_that_times_out_means_another_load(dialect: str, step: str, code: str) -> None:
    """Statements that time out, and locks that fail otherwise, fail at once in their own words."""
    scene = Scene(dialect, script={step: [refused(code=code)]})
    error = fail(scene)
    assert (error.transient, error.code) == (False, code)
    assert "another load" not in str(error.hint)
    assert scene.seen.count("open") == 1


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_turns_are_no_attempts(dialect: str) -> None:
    """Who loses its turn to another load begins anew in the same session, however often."""
    times = retry.ATTEMPTS + 1
    scene = Scene(dialect, script={LOCK: [conflict() for _ in range(times)]})
    assert scene.run().rows_loaded == ROWS
    turns = ["BEGIN", LOCK, "ROLLBACK"] * times
    assert scene.attempts() == [[*BEFORE[dialect], *turns, "BEGIN", *INSIDE[dialect], "COMMIT"]]


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_turns_are_limited(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never gets its turn fails in the end, and the table is as it was."""
    monkeypatch.setattr(retry, "TURNS", 3)
    scene = Scene(dialect, script={LOCK: [conflict() for _ in range(100)]})
    error = fail(scene)
    assert (error.code, error.rolled_back) == ("40001", True)
    assert scene.seen.count(LOCK) == retry.ATTEMPTS * (3 + 1)
    assert "copy" not in scene.seen


# --- columns that the live table lacks

NARROW = (("id", "bigint"), ("note", "varchar(5)"))
SHORT = (("id", "bigint"),)


def evolve(scene: Scene, step: str) -> None:
    """Let a statement change the live table, as it does in the warehouse."""

    def act() -> None:
        scene.tables[TABLE] = make_live(scene.dialect)

    scene.left[step] = [act]


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_columns_are_added_before_the_transaction(dialect: str) -> None:
    """Where ALTER would block readers it runs before BEGIN, and the plan is made anew inside."""
    scene = Scene(dialect, live=make_live(dialect, *SHORT), fields=EVOLVE)
    evolve(scene, "add the column note")
    outcome = scene.run()
    added = Evolution(added=("note",))
    assert outcome.evolution == added
    ledgers = [*SESSION[dialect], *LEDGERS[dialect]]
    at = len(ledgers) + 1
    assert scene.seen[:at] == ["open", *ledgers]
    assert scene.seen[at : at + 2] == ["describe s.t", "add the column note"]
    assert scene.seen[scene.seen.index("BEGIN") : -1] == ["BEGIN", *INSIDE[dialect], "COMMIT"]
    assert scene.built == [
        ("unseen", Evolution()),
        (make_live(dialect, *SHORT), Evolution()),
        (make_live(dialect), added),
    ]


def test_columns_are_widened_before_the_transaction() -> None:
    """What no transaction takes runs before BEGIN, hooks after it, and it is told."""
    hook = {"template": "analyze", "when": "before", "transaction": "outside"}
    fields = {**EVOLVE, "hooks": [hook]}
    scene = Scene("redshift", live=make_live("redshift", *NARROW), fields=fields)
    evolve(scene, "widen the column note")
    assert scene.run().evolution == Evolution(widened=("note",))
    at = scene.seen.index("widen the column note")
    assert scene.seen[at : at + 3] == ["widen the column note", "hook analyze", "BEGIN"]


def test_columns_are_added_inside_where_nobody_is_blocked() -> None:
    """On DuckDB a column is added in the transaction, and no query asks for it before."""
    scene = Scene("duckdb", live=make_live("duckdb", *SHORT), fields=EVOLVE)
    outcome = scene.run()
    assert outcome.evolution == Evolution(added=("note",))
    opening = [*OPENING["duckdb"], "add the column note"]
    inside = [*opening, *ROWS_OF["duckdb"], *RECORD["duckdb"]]
    assert scene.seen[1:-1] == [*BEFORE["duckdb"], "BEGIN", *inside, "COMMIT"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_that_lacks_nothing_is_not_changed(dialect: str) -> None:
    """With evolve the live table is looked at before BEGIN too, where it would be changed there."""
    scene = Scene(dialect, fields=EVOLVE)
    assert scene.run().evolution == Evolution()
    assert scene.seen.count("describe s.t") == (1 if dialect == "duckdb" else 2)
    assert len(scene.built) == (2 if dialect == "duckdb" else 3)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_evolve_a_column_that_is_missing_stops_the_load(dialect: str) -> None:
    """A load changes no table whose spec does not say so: it is rolled back and told."""
    scene = Scene(dialect, live=make_live(dialect, *SHORT))
    with pytest.raises(PlanError, match="note"):
        scene.run()
    assert scene.seen[-3:] == ["describe s.t", "ROLLBACK", "close"]


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_columns_stay_added_after_a_rollback(dialect: str) -> None:
    """A retry finds the columns and still tells them; so does the error of a load that fails."""
    scene = Scene(dialect, live=make_live(dialect, *SHORT), fields=EVOLVE)
    evolve(scene, "add the column note")
    scene.left["copy"] = [lost()]
    assert scene.run().evolution == Evolution(added=("note",))
    assert scene.seen.count("add the column note") == 1
    assert scene.built[-1] == (make_live(dialect), Evolution(added=("note",)))
    scene = Scene(dialect, live=make_live(dialect, *SHORT), fields=EVOLVE)
    evolve(scene, "add the column note")
    scene.left["copy"] = [refused()]
    assert "unchanged; added before: note" in fail(scene).message


def lacking_two(dialect: str, error: ExecuteError) -> Scene:
    """A load that adds the columns a and b, the second of which fails at first."""
    id_, a, b = ((name, "bigint") for name in ("id", "a", "b"))
    columns = [{"name": name, "data_type": kind} for name, kind in (id_, a, b)]
    live = make_live(dialect, id_)
    scene = Scene(dialect, live=live, fields={**EVOLVE, "columns": columns})

    def add(*there: tuple[str, str]) -> None:
        scene.tables[TABLE] = make_live(dialect, *there)

    def refuse() -> None:
        raise error

    scene.left["add the column a"] = [lambda: add(id_, a)]
    scene.left["add the column b"] = [refuse, lambda: add(id_, a, b)]
    return scene


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_columns_are_told_that_two_attempts_have_added(dialect: str) -> None:
    """Of two columns one is added, then the connection is lost: a retry adds one and tells both."""
    scene = lacking_two(dialect, lost())
    both = Evolution(added=("a", "b"))
    assert scene.run().evolution == both
    assert scene.built[-1][1] == both
    assert scene.seen.count("add the column a") == 1


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_a_column_is_told_that_was_added_before_another_failed(dialect: str) -> None:
    """Of two columns one is added, and the other cannot be: the error tells the one that stays."""
    scene = lacking_two(dialect, refused("no room"))
    scene.left["add the column b"] = [refused("no room"), refused("no room")]
    assert fail(scene).message.endswith("unchanged; added before: a")


@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_columns_that_were_added_are_told_with_another_run(dialect: str) -> None:
    """Who adds columns and then finds the load in the ledger tells both."""
    scene = Scene(dialect, live=make_live(dialect, *SHORT), fields=EVOLVE)
    evolve(scene, "add the column note")
    scene.records = [(None, 40, 5, 2, "m")]
    outcome = scene.run()
    assert outcome.record is not None
    assert outcome.evolution == Evolution(added=("note",))


@pytest.mark.parametrize(("changed", "attempts"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("dialect", ON_REDSHIFT)
def test_a_column_that_another_job_adds_first(dialect: str, changed: bool, attempts: int) -> None:
    """An ALTER that fails because another job was sooner is planned anew; any other fails."""
    scene = Scene(dialect, live=make_live(dialect, *SHORT), fields=EVOLVE)

    def act() -> None:
        if changed:
            scene.tables[TABLE] = make_live(dialect)
        raise refused("there already")

    scene.left["add the column note"] = [act]
    if changed:
        assert scene.run().evolution == Evolution()
    else:
        assert "there already" in fail(scene).message
    assert scene.seen.count("open") == attempts


# --- tables that another job changes


@pytest.mark.parametrize("step", ["copy", "count", "record the load"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_that_another_job_changes_is_loaded_again(dialect: str, step: str) -> None:
    """A statement that fails on a table that has changed meanwhile is planned and run anew."""
    wide = make_live(dialect, ("id", "bigint"), ("note", "varchar(10)"), ("more", "bigint"))
    scene = Scene(dialect)

    def act() -> None:
        scene.tables[TABLE] = wide
        raise refused()

    scene.left[step] = [act]
    assert scene.run().rows_loaded == ROWS
    assert scene.built[-1][0] == wide
    first, last = scene.attempts()
    assert first[-2:] == ["ROLLBACK", "describe s.t"]
    assert last[-1] == "COMMIT"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_that_changes_all_the_time_is_told(dialect: str) -> None:
    """When attempts are used up, the hint says that another job changes the table."""
    scene = Scene(dialect)
    tables = [make_live(dialect), make_live(dialect, ("id", "bigint"), ("note", "varchar(9)"))]

    def act() -> None:
        scene.tables[TABLE] = "absent" if scene.tables[TABLE] == tables[0] else tables[0]
        raise refused(hint="of the warehouse")

    scene.left["copy"] = [act] * 100
    error = fail(scene)
    assert "another job" in str(error.hint)
    assert (error.rolled_back, error.transient) == (True, True)
    assert scene.seen.count("copy") == retry.ATTEMPTS


@pytest.mark.parametrize("found", [None, refused("no catalog"), lost()])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_that_nobody_is_known_to_change_is_no_reason(dialect: str, found: Any) -> None:
    """The first error is told, where the table is as it was or cannot be read any more."""
    scene = Scene(dialect, script={"copy": [refused("no room")], "describe s.t": [None, found]})
    error = fail(scene)
    assert "no room" in error.message
    assert not error.transient
    assert scene.attempts()[0][-2:] == ["ROLLBACK", "describe s.t"]


@pytest.mark.parametrize(
    ("script", "attempts"),
    [({"count": [[(ROWS + 1,)]]}, 1), ({"copy": [lost()]}, 2), ({"COMMIT": [refused()]}, 1)],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_changes_by_others_are_looked_for_where_they_could_matter(
    dialect: str, script: Any, attempts: int
) -> None:
    """Not after a wrong count, not after what is transient anyway, and not once COMMIT was sent."""
    changed = make_live(dialect, ("id", "bigint"), ("note", "varchar(10)"), ("more", "bigint"))
    scene = Scene(dialect, script=script)
    scene.left["delete all rows"] = [lambda: scene.tables.update({TABLE: changed})]
    if attempts == 2:
        scene.run()
    else:
        assert not fail(scene).transient
    whole = [one for one in scene.attempts() if "copy" in one]
    assert len(whole) == attempts
    assert [one.count("describe s.t") for one in whole] == [1] * attempts


# --- rows that COPY rejects


def explainer(told: list[Any], lines: Any) -> Any:
    """Explain a COPY by a query in its session."""

    def explain(session: Session, plan: Plan, message: str) -> list[str]:
        session.execute(plan.statements[-1].sql)
        told.append((plan, message))
        if isinstance(lines, ExecuteError):
            raise lines
        return list(lines)

    return explain


@pytest.mark.parametrize(
    ("lines", "shown"),
    [(["row 1: x", "row 2: y"], ["  row 1: x", "  row 2: y"]), ([], []), (refused("no view"), [])],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failed_copy_is_explained(dialect: str, lines: Any, shown: list[str]) -> None:
    """Rows that a COPY rejected stand in its error, asked for in its session after ROLLBACK."""
    scene = Scene(dialect, script={"copy": [refused("bad rows")]})
    told: list[Any] = []
    error = fail(scene, explain=explainer(told, lines))
    first, *more, last = error.message.splitlines()
    assert first == "`copy` of s.t failed: bad rows"
    assert more == shown
    assert last == UNCHANGED
    assert [message for _, message in told] == ["bad rows"]
    assert told[0][0].sql == scene.build(make_live(dialect), Evolution()).sql
    at = scene.seen.index("copy")
    assert scene.seen[at : at + 3] == ["copy", "ROLLBACK", "record the load"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_copy_whose_rollback_fails_is_told_all_the_same(dialect: str) -> None:
    """Where nothing can be asked any more, the error of the COPY is told without rows."""
    script = {"copy": [refused("bad rows")], "ROLLBACK": [lost(), lost()]}
    told: list[Any] = []
    error = fail(Scene(dialect, script=script), explain=explainer(told, ["row"]))
    assert error.message.splitlines()[1:] == [UNCHANGED]
    assert told == []


@pytest.mark.parametrize(
    ("step", "make"),
    [("delete all rows", refused), ("count", refused), ("copy", lost), ("BEGIN", refused)],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_but_a_rejected_copy_is_explained(
    dialect: str, step: str, make: Callable[[], ExecuteError]
) -> None:
    """No other statement has rejected rows, and neither has a COPY whose connection is lost."""
    told: list[Any] = []
    scene = Scene(dialect, script={step: [make() for _ in range(retry.ATTEMPTS)]})
    error = fail(scene, explain=explainer(told, ["row"]))
    assert told == []
    assert error.message.splitlines()[1:] == ([UNCHANGED] if step != "BEGIN" else [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_copy_that_nobody_explains_is_told_as_it_is(dialect: str) -> None:
    """Where a warehouse keeps no rejected rows, the error of the COPY is all there is."""
    error = fail(Scene(dialect, script={"copy": [refused("bad rows")]}))
    assert error.message.splitlines() == ["`copy` of s.t failed: bad rows", UNCHANGED]


# --- counts, values and checks


WRONG = {
    "copy": [[(ROWS - 1,)]],
    "count copied rows": [[(ROWS - 1,)], []],
    "count": [[(ROWS + 1,)], [(ROWS - 1,)], []],
}


@pytest.mark.parametrize(
    ("dialect", "step", "answer"),
    [
        (one, step, wrong)
        for one in DIALECTS
        for step in ROWS_OF[one]
        for wrong in WRONG.get(step, ())
    ],
)
def test_a_wrong_count_rolls_back_and_is_not_repeated(
    dialect: str, step: str, answer: list[Any]
) -> None:
    """Rows that were not staged, or are missing, roll back at once: the next try is no better."""
    scene = Scene(dialect, script={step: [answer]})
    error = fail(scene)
    assert isinstance(error, VerifyError)
    assert (error.rolled_back, error.transient) == (True, False)
    assert scene.name_of(str(error.statement)) == step
    assert scene.seen[-3:] == [step, "ROLLBACK", "close"]
    assert scene.seen.count("open") == 1


FIGURES = {("id", "nulls"): 1, ("id", "minimum"): 3, ("id", "maximum"): 5, ("id", "sum"): 24}


@pytest.mark.parametrize("classification", [None, "pii"])
@pytest.mark.parametrize("wrong", [{}, {3: 6}])
def test_values_are_compared_with_the_staged_ones(
    wrong: dict[int, int], classification: str | None
) -> None:
    """Values must be those that were staged; the error shows none of a classified column."""
    column = {"name": "id", "data_type": "bigint", "classification": classification}
    fields = {"verify": "values", "columns": [{k: v for k, v in column.items() if v}]}
    answer = [wrong.get(at, one) for at, one in enumerate([ROWS, *FIGURES.values()])]
    scene = Scene("duckdb", fields=fields, answers={"verify values": [tuple(answer)]})
    scene.tables[TABLE] = make_live("duckdb", ("id", "BIGINT"))
    kind = scene.spec.columns[0].data_type
    figures = {Figure(name, kind, what): one for (name, what), one in FIGURES.items()}  # type: ignore[arg-type]
    if not wrong:
        assert scene.run(figures=figures).rows_after == ROWS
        return
    error = fail(scene, figures=figures)
    assert isinstance(error, VerifyError)
    assert ("6" in error.message) == (classification is None)
    assert scene.seen[-3:] == ["verify values", "ROLLBACK", "close"]


@pytest.mark.parametrize("ledger", ["loader", ""])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_failed_checks_are_told_at_once(dialect: str, ledger: str) -> None:
    """Checks that do not hold are told together with rows, before anything else is written."""
    fields = {"checks": [ANY_ROWS, NONE_NULL]}
    answers: dict[str, list[Any]] = {"check row_count": [(0,)], CHECK: [(2,)], SAMPLE: [(41, None)]}
    scene = Scene(dialect, fields=fields, answers=answers, ledger=ledger)
    error = fail(scene)
    assert isinstance(error, VerifyError)
    assert [one["check"] for one in error.details] == ["row_count", "null_values note"]
    assert "41" in error.message
    assert error.message.splitlines()[-1] == UNCHANGED
    assert scene.name_of(str(error.statement)) == "check row_count"
    assert (error.rolled_back, error.transient) == (True, False)
    assert "check" in str(error.hint)
    after = ["check row_count", CHECK, SAMPLE, "ROLLBACK", "close"]
    assert scene.seen[-5:] == after


@pytest.mark.parametrize("ledger", ["loader", ""])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_check_that_warns_does_not_stop_the_load(dialect: str, ledger: str) -> None:
    """A check of severity warning is told in the outcome, once, and the load is committed."""
    answers: dict[str, list[Any]] = {CHECK: [(2,)], SAMPLE: [(41, None)]}
    scene = Scene(dialect, fields={"checks": [WARN]}, answers=answers, ledger=ledger)
    (warning,) = scene.run().warnings
    assert "41" in warning
    assert scene.seen.count(SAMPLE) == 1
    assert scene.seen[scene.seen.index(CHECK) + 1] == SAMPLE
    assert scene.seen[-2:] == ["COMMIT", "close"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_check_that_fails_tells_those_that_warn_too(dialect: str) -> None:
    """One error tells all that does not hold; its statement is the check that stops the load."""
    fields = {"checks": [WARN, {**ANY_ROWS}]}
    answers: dict[str, list[Any]] = {CHECK: [(2,)], SAMPLE: [(41, None)], "check row_count": [(0,)]}
    scene = Scene(dialect, fields=fields, answers=answers)
    error = fail(scene)
    assert len(error.details) == 2
    assert scene.name_of(str(error.statement)) == "check row_count"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failed_check_is_told_without_its_rows(dialect: str) -> None:
    """Rows that cannot be read are left out of a failed check, and no check is left out."""
    fields = {"checks": [ANY_ROWS, NONE_NULL]}
    answers: dict[str, list[Any]] = {"check row_count": [(0,)], CHECK: [(2,)]}
    scene = Scene(dialect, fields=fields, answers=answers, script={SAMPLE: [refused()]})
    error = fail(scene)
    assert isinstance(error, VerifyError)
    assert [one["check"] for one in error.details] == ["row_count", "null_values note"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_warning_without_its_rows_fails_the_load(dialect: str) -> None:
    """A query that fails has broken the transaction, even where the check itself only warns."""
    script: dict[str, Any] = {CHECK: [[(2,)]], SAMPLE: [refused("no rows")]}
    scene = Scene(dialect, fields={"checks": [WARN]}, script=script)
    assert "no rows" in fail(scene).message
    assert scene.seen.count("open") == 1
