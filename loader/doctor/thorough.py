"""`loader doctor --thorough`: what Loader relies on, tried for real in a schema of its own."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from loader.doctor.report import Style, open_examination
from loader.doctor.scratch import ScratchSchema
from loader.doctor.trials import find_trials
from loader.errors import ExecuteError, LoaderError, PlanError
from loader.project import Project
from loader.redaction import KNOWN
from loader.warehouse.doctor import DiffersError, Trial, TrialStatus

_DENIED = re.compile(
    r"permission denied|must be (owner|superuser)|not authorized|access ?denied", re.IGNORECASE
)


@dataclass(frozen=True)
class TrialResult:
    """What a trial has shown."""

    area: str
    name: str
    status: TrialStatus
    detail: str
    """One line."""
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data."""
        return asdict(self)


def try_target(project: Project, target: str | None = None) -> Iterator[TrialResult]:
    """Run all trials of a target whose settings are complete; all that they create is removed."""
    with open_examination(project, target) as examination:
        examination.check_settings()
        with ScratchSchema(examination) as scratch:
            created = _try(
                scratch, Trial("schema", "a schema for the trials", ScratchSchema.create)
            )
            yield created
            if created.status == "holds":
                yield from (_try(scratch, trial) for trial in find_trials(scratch))
                yield _try(scratch, Trial("schema", "nothing is left", ScratchSchema.remove))


def _try(scratch: ScratchSchema, trial: Trial) -> TrialResult:
    started = time.perf_counter()
    status: TrialStatus = "holds"
    try:
        detail = trial.run(scratch)
    except DiffersError as error:
        status, detail = "differs", str(error)
    except LoaderError as error:
        status, detail = "not allowed" if _is_denied(error) else "differs", error.message
    except Exception as error:  # noqa: BLE001  an unexpected error is a finding of its trial
        status, detail = "differs", f"{type(error).__name__}: {error}"
    seconds = round(time.perf_counter() - started, 3)
    return TrialResult(trial.area, trial.name, status, _one_line(KNOWN.hide(detail)), seconds)


def _is_denied(error: LoaderError) -> bool:
    if isinstance(error, PlanError):
        return True  # Loader itself refuses what the target does not take
    code = error.code if isinstance(error, ExecuteError) else ""
    return code == "42501" or _DENIED.search(error.message) is not None


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


_COLOURS: Mapping[TrialStatus, str] = {"holds": "green", "not allowed": "yellow", "differs": "red"}

_WIDTHS = (len("transactions"), len("merge by DELETE and INSERT"), len("not allowed"))
"""The widths of the columns before the details."""


def format_result(result: TrialResult, style: Style, *, verbose: bool = False) -> str:
    """Format a result as a line of the table."""
    area, name, status = _WIDTHS
    duration = f" ({result.seconds:.1f} s)" if verbose else ""
    shown = style(f"{result.status:<{status}}", fg=_COLOURS[result.status], bold=True)
    return f"{result.area:<{area}}  {result.name:<{name}}  {shown}  {result.detail}{duration}"


def format_counts(results: Sequence[TrialResult]) -> str:
    """Format how many results have each status."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{count} {status}" for status, count in counts.items())
