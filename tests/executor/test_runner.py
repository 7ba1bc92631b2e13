"""The runner of a transaction: order, errors, attempts, and a COMMIT whose outcome is unclear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from loader.errors import ExecuteError, VerifyError
from loader.executor.answers import Answers
from loader.executor.runner import TransactionRunner
from loader.plan.expectations import Number
from loader.plan.model import Statement
from loader.warehouse.base import Row, Session

Act = Callable[[], None]


def statement(sql: str, role: Any = "run", name: str = "step") -> Statement:
    return Statement(name, sql, "why", "t/step.sql.j2", role, expects=Number("seen"))


class Fake:
    """A warehouse that notes what is done, and does what a test wants for some of it."""

    keeps_session_open = False

    def __init__(self, acts: dict[str, Act] | None = None) -> None:
        self.acts = acts or {}
        self.seen: list[str] = []

    def exists(self) -> bool:
        return True

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[Session]:
        self.seen.append("open")
        yield self  # type: ignore[misc]  # as far as the runner needs one
        self.seen.append("close")

    def execute(self, sql: str) -> list[Row]:
        self._do(sql)
        return [(1,)]

    def begin(self) -> None:
        self._do("BEGIN")

    def commit(self) -> None:
        self._do("COMMIT")

    def rollback(self) -> None:
        self._do("ROLLBACK")

    def _do(self, what: str) -> None:
        self.seen.append(what)
        self.acts.get(what, lambda: None)()


class Runner(TransactionRunner):
    """Two statements and a lock."""

    went_through = False
    interrupt_went_through: bool | None = None

    def __init__(self, warehouse: Fake, told: list[str] | None = None) -> None:
        names = told if told is not None else []
        super().__init__(warehouse, lambda one: names.append(one.sql))

    def new_answers(self) -> Answers:
        return Answers("s.t", self.state)

    def state(self) -> str:
        return "all as it was"

    def run_before(self, session: Session) -> None:
        self.run_statement(session, statement("widen"))

    def run_inside(self, session: Session) -> None:
        statements = [statement("one"), statement("two"), statement("lock", "lock")]
        self.take_lock(session, statements)
        for one in statements[:2]:
            self.run_statement(session, one)

    def resolve_commit(self, error: ExecuteError) -> None:
        if not self.went_through:
            raise ExecuteError("not committed") from error

    def resolve_interrupt(self, stop: BaseException) -> bool:
        if self.interrupt_went_through is None:
            return super().resolve_interrupt(stop)
        return self.interrupt_went_through


def failing(error: BaseException, times: int = 1) -> Act:
    left = [error] * times

    def act() -> None:
        if left:
            raise left.pop()

    return act


def test_statements_run_in_order_and_locks_first() -> None:
    """What no transaction takes is before BEGIN, locks are first in it, and each is announced."""
    warehouse, told = Fake(), list[str]()
    runner = Runner(warehouse, told)
    runner.run()
    inside = ["BEGIN", "lock", "one", "two", "COMMIT"]
    assert warehouse.seen == ["open", "widen", *inside, "close"]
    assert told == ["widen", "lock", "one", "two"]
    assert runner.answers.numbers == {"seen": 4}


def test_every_attempt_begins_anew() -> None:
    """Numbers and the state of COMMIT are those of the attempt at hand."""
    lost = ExecuteError("gone", transient=True, statement="COMMIT")
    warehouse = Fake({"COMMIT": failing(lost), "two": failing(ExecuteError("two"), 0)})
    runner = Runner(warehouse)
    with pytest.raises(ExecuteError, match="not committed"):
        runner.run()
    assert runner.committing
    warehouse.acts["one"] = failing(ExecuteError("conflict", transient=True))
    with pytest.raises(ExecuteError, match="conflict") as caught:
        runner.run()
    assert not runner.committing
    assert caught.value.rolled_back
    runner.run()
    assert runner.answers.numbers == {"seen": 4}


def test_a_statement_that_fails_is_named_with_all_that_helps() -> None:
    """Its name, table, message and what is unchanged; hint, code and whether it may pass stay."""
    error = ExecuteError("no room", hint="make some", transient=True, code="53100")
    warehouse = Fake({"two": failing(error)})
    with pytest.raises(ExecuteError) as caught:
        Runner(warehouse).run()
    assert caught.value.message == "`step` of s.t failed: no room\nall as it was"
    assert (caught.value.hint, caught.value.code) == ("make some", "53100")
    assert caught.value.transient
    assert caught.value.rolled_back
    assert caught.value.statement == "two"
    assert warehouse.seen[-1:] == ["ROLLBACK"]
    with pytest.raises(ExecuteError) as caught:
        Runner(Fake({"two": failing(ExecuteError("no room"))})).run()
    assert caught.value.hint == "the statement comes from t/step.sql.j2"
    assert not caught.value.transient


def test_further_lines_of_an_error_stand_before_what_is_unchanged() -> None:
    """Who can tell more about a failed statement, such as the rows of a COPY, is asked."""
    runner = Runner(Fake({"two": failing(ExecuteError("refused"))}))
    runner.explain = lambda _, failed, error: f"  {failed.sql}: {error.message}!\n"
    with pytest.raises(ExecuteError) as caught:
        runner.run()
    assert caught.value.message.splitlines()[1:] == ["  two: refused!", "all as it was"]


def test_a_failed_commit_is_asked_about() -> None:
    """Only after COMMIT was sent, and what is known then counts."""
    lost = ExecuteError("gone")
    runner = Runner(Fake({"COMMIT": failing(lost)}))
    runner.went_through = True
    runner.run()
    runner = Runner(Fake({"BEGIN": failing(lost)}))
    runner.went_through = True
    with pytest.raises(ExecuteError, match="gone"):
        runner.run()


def test_a_commit_that_is_known_to_have_failed_is_not_asked_about() -> None:
    """Where the warehouse itself says that COMMIT was rolled back, nothing is left to find out."""
    failed = ExecuteError("1023", rolled_back=True, transient=True, statement="COMMIT")
    runner = Runner(Fake({"COMMIT": failing(failed)}))
    runner.went_through = True
    with pytest.raises(ExecuteError) as caught:
        runner.run()
    assert caught.value.message == "COMMIT failed: 1023\nall as it was"
    assert caught.value.transient


@pytest.mark.parametrize(
    ("went_through", "raised", "notes"), [(True, False, 0), (False, True, 0), (None, True, 1)]
)
def test_an_interrupted_commit_is_asked_about(
    went_through: bool | None, raised: bool, notes: int
) -> None:
    """Ctrl-C in COMMIT ends quietly where it went through; where nobody knows, it says so."""
    runner = Runner(Fake({"COMMIT": failing(KeyboardInterrupt())}))
    runner.interrupt_went_through = went_through
    if not raised:
        runner.run()
        return
    with pytest.raises(KeyboardInterrupt) as caught:
        runner.run()
    assert len(getattr(caught.value, "__notes__", [])) == notes


def test_an_interrupt_before_commit_is_nothing_to_ask_about() -> None:
    """Ctrl-C in a statement rolls back and passes on, whatever could be asked."""
    warehouse = Fake({"two": failing(KeyboardInterrupt())})
    runner = Runner(warehouse)
    runner.interrupt_went_through = True
    with pytest.raises(KeyboardInterrupt) as caught:
        runner.run()
    assert not hasattr(caught.value, "__notes__")
    assert "ROLLBACK" in warehouse.seen


def test_errors_of_others_pass_as_they_are() -> None:
    """What is no error of a warehouse is not asked about, not even in COMMIT."""
    runner = Runner(Fake({"COMMIT": failing(ValueError("broken"))}))
    runner.went_through = runner.interrupt_went_through = True
    with pytest.raises(ValueError, match="broken"):
        runner.run()


def test_a_wrong_answer_rolls_back() -> None:
    """An answer that is not what it must be ends the transaction before COMMIT."""

    class Wrong(Runner):
        def run_inside(self, session: Session) -> None:
            expects = Number("seen")
            self.run_statement(session, replace(statement("one"), expects=expects))
            self.answers.take(statement("two"), [("x",)])

    warehouse = Fake()
    with pytest.raises(VerifyError):
        Wrong(warehouse).run()
    assert "COMMIT" not in warehouse.seen
    assert "ROLLBACK" in warehouse.seen
