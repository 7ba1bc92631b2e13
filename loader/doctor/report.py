"""Examines a target step by step, and does what loads do: connects, writes, stages, copies.

All of it is undone: transactions are rolled back, files removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from loader.doctor.checks import PASSES, Examination
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.project import Project
from loader.redaction import KNOWN
from loader.warehouse.adapter import Adapter
from loader.warehouse.doctor import AGAIN, Status, Step, StepResult
from loader.warehouse.registry import get_adapter

Style = Callable[..., str]
"""Marks text for a terminal: ``style(text, fg="red", bold=True)``."""


@dataclass(frozen=True)
class Finding:
    """What one step found."""

    name: str
    status: Status
    detail: str
    """One line."""
    hint: str | None
    """What to do next, unless all is well."""
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The finding as JSON-ready data."""
        return asdict(self)


def examine(project: Project, target: str | None = None) -> Iterator[Finding]:
    """Examine a target; a step is skipped when one that it needs failed, the others go on.

    Raises:
        ConfigError: there is no such target.
    """
    name = target or project.config.target
    if name not in project.config.targets:
        project.config.settings(name)
    with Examination(project, name, _find_adapter(project, name)) as examination:
        yield from _findings(examination)


def target_type(project: Project, target: str | None = None) -> str:
    """The type of a target as the settings have it; one that does not exist is not repeated."""
    name = target or project.config.target
    known = _find_adapter(project, name) is not None
    return str(project.config.written(name)["type"]) if known else "of an unknown type"


def _find_adapter(project: Project, name: str) -> Adapter[Any] | None:
    # What is wrong with the type is told by the step that reads the settings.
    with suppress(KeyError, ConfigError):
        return get_adapter(str(project.config.written(name).get("type")))
    return None


def _findings(examination: Examination) -> Iterator[Finding]:
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
        examination.leave()
        transient = isinstance(error, ExecuteError) and error.transient
        return StepResult(error.message, "failed", error.hint or (PASSES if transient else AGAIN))
    except Exception as error:  # noqa: BLE001  what no step foresees is a finding, and others go on
        examination.leave()
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
"""Marks, those where only ASCII can be written, and their colours."""

_WIDTH = len("temporary tables")
"""Of the names of steps, so that what they found begins in one column."""


def line(finding: Finding, style: Style, encoding: str = "utf-8", *, verbose: bool = False) -> str:
    """A finding as a line for a terminal, and its hint as another."""
    mark, plain, colour = _MARKS[finding.status]
    shown = style(mark if _has(encoding, mark) else plain, fg=colour, bold=True)
    detail = f"skipped: {finding.detail}" if finding.status == "skipped" else finding.detail
    took = f" ({finding.seconds:.1f} s)" if verbose else ""
    told = f"{shown} {finding.name:<{_WIDTH}}  {detail}{took}"
    if finding.hint is None or finding.status == "skipped":
        return told
    return f"{told}\n  {'':<{_WIDTH}}  {style('hint:', fg='cyan', bold=True)} {finding.hint}"


def _has(encoding: str, mark: str) -> bool:
    try:
        mark.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def summary(findings: Sequence[Finding], style: Style) -> str:
    """All findings in one line."""
    counts = {status: sum(f.status == status for f in findings) for status in _MARKS}
    told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    if counts["failed"]:
        return f"{style('not fine', fg='red', bold=True)}: {told}"
    return f"{style('fine', fg='green', bold=True)}: {told}"
