"""Checks a target step by step, and formats the findings.

The checks do what a load does: connect, write, stage, copy. Everything is undone: transactions are
rolled back, files removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from loader.doctor.checks import RETRY, Examination
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.project import Project
from loader.redaction import KNOWN
from loader.warehouse.adapter import Adapter
from loader.warehouse.doctor import AGAIN, Status, Step, StepResult
from loader.warehouse.registry import get_adapter

Style = Callable[..., str]
"""Styles text for a terminal: ``style(text, fg="red", bold=True)``."""


@dataclass(frozen=True)
class Finding:
    """The result of one step."""

    name: str
    status: Status
    detail: str
    """One line."""
    hint: str | None
    """What to do next; None after success."""
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The finding as JSON-ready data."""
        return asdict(self)


def check_target(project: Project, target: str | None = None) -> Iterator[Finding]:
    """Check a target step by step; a step is skipped if a step it depends on failed.

    Raises:
        ConfigError: the target does not exist.
    """
    with open_examination(project, target) as examination:
        yield from _run_steps(examination)


def open_examination(project: Project, target: str | None) -> Examination:
    """Prepare the examination of a target; nothing is connected yet.

    Raises:
        ConfigError: the target does not exist.
    """
    name = target or project.config.target
    if name not in project.config.targets:
        project.config.settings(name)
    return Examination(project, name, _find_adapter(project, name))


def target_type(project: Project, target: str | None = None) -> str:
    """The type of a target; unknown types are not repeated, since the text may be a secret."""
    name = target or project.config.target
    known = _find_adapter(project, name) is not None
    return str(project.config.raw_settings(name)["type"]) if known else "of an unknown type"


def _find_adapter(project: Project, name: str) -> Adapter[Any] | None:
    # The step `settings` reports an invalid type.
    with suppress(KeyError, ConfigError):
        return get_adapter(str(project.config.raw_settings(name).get("type")))
    return None


def _run_steps(examination: Examination) -> Iterator[Finding]:
    causes: dict[str, str] = {}
    for step in examination.steps:
        started = time.perf_counter()
        cause = next((causes[need] for need in step.needs if need in causes), None)
        if cause is None:
            result = _run_step(examination, step)
            if result.status == "failed":
                causes[step.name] = step.name
        else:
            causes[step.name] = cause
            result = StepResult(f"`{cause}` failed", "skipped", f"fix `{cause}` first")
        seconds = round(time.perf_counter() - started, 3)
        detail = _one_line(KNOWN.hide(result.detail))
        hint = KNOWN.hide(result.hint) if result.hint else None
        yield Finding(step.name, result.status, detail, hint, seconds)


def _run_step(examination: Examination, step: Step) -> StepResult:
    try:
        return examination.check(step)
    except LoaderError as error:
        examination.close_session()
        transient = isinstance(error, ExecuteError) and error.transient
        return StepResult(error.message, "failed", error.hint or (RETRY if transient else AGAIN))
    except Exception as error:  # noqa: BLE001  an unexpected error is a finding of its step
        examination.close_session()
        return StepResult(f"{type(error).__name__}: {error}", "failed", AGAIN)


def _one_line(text: str) -> str:
    head, *rest = text.strip().splitlines() or [""]
    joint = ": " if rest and rest[0].startswith(" ") else "; "
    return joint.join([head, "; ".join(line.strip() for line in rest)]) if rest else head


_MARKS: Mapping[Status, tuple[str, str, str]] = {
    "ok": ("✓", "+", "green"),
    "warning": ("!", "!", "yellow"),
    "failed": ("✗", "x", "red"),
    "skipped": ("-", "-", "bright_black"),
}
"""Mark, ASCII mark and colour of each status."""

_WIDTH = len("temporary tables")
"""The width of the column of step names."""


def format_finding(
    finding: Finding, style: Style, encoding: str = "utf-8", *, verbose: bool = False
) -> str:
    """Format a finding as one line for a terminal, and its hint as another."""
    mark, plain, colour = _MARKS[finding.status]
    shown = style(mark if _can_encode(encoding, mark) else plain, fg=colour, bold=True)
    detail = f"skipped: {finding.detail}" if finding.status == "skipped" else finding.detail
    duration = f" ({finding.seconds:.1f} s)" if verbose else ""
    line = f"{shown} {finding.name:<{_WIDTH}}  {detail}{duration}"
    if finding.hint is None or finding.status == "skipped":
        return line
    return f"{line}\n  {'':<{_WIDTH}}  {style('hint:', fg='cyan', bold=True)} {finding.hint}"


def _can_encode(encoding: str, mark: str) -> bool:
    try:
        mark.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def format_summary(findings: Sequence[Finding], style: Style) -> str:
    """Format the number of findings of each status."""
    counts = {status: sum(f.status == status for f in findings) for status in _MARKS}
    text = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    if counts["failed"]:
        return f"{style('not fine', fg='red', bold=True)}: {text}"
    return f"{style('fine', fg='green', bold=True)}: {text}"
