"""`loader doctor --thorough`: what Loader relies on, tried for real in a schema of its own."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from loader.doctor.lab import Lab
from loader.doctor.report import Style, open_examination
from loader.doctor.trials import find_trials
from loader.errors import ExecuteError, LoaderError, PlanError
from loader.project import Project
from loader.redaction import KNOWN
from loader.warehouse.doctor import DiffersError, Trial, Verdict

_DENIED = re.compile(
    r"permission denied|must be (owner|superuser)|not authorized|access ?denied", re.IGNORECASE
)


@dataclass(frozen=True)
class Fact:
    """What a trial has shown."""

    area: str
    name: str
    verdict: Verdict
    detail: str
    """One line."""
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The fact as JSON-ready data."""
        return asdict(self)


def try_target(project: Project, target: str | None = None) -> Iterator[Fact]:
    """Run all trials of a target whose settings are complete; all that they create is removed."""
    with open_examination(project, target) as examination:
        examination.check_settings()
        with Lab(examination) as lab:
            yield (first := _try(lab, Trial("schema", "a schema for the trials", Lab.create)))
            if first.verdict == "holds":
                yield from (_try(lab, trial) for trial in find_trials(lab))
                yield _try(lab, Trial("schema", "nothing is left", Lab.remove))


def _try(lab: Lab, trial: Trial) -> Fact:
    started = time.perf_counter()
    verdict: Verdict = "holds"
    try:
        detail = trial.run(lab)
    except DiffersError as error:
        verdict, detail = "differs", str(error)
    except LoaderError as error:
        verdict, detail = "not allowed" if _is_denied(error) else "differs", error.message
    except Exception as error:  # noqa: BLE001  an unexpected error is a finding of its trial
        verdict, detail = "differs", f"{type(error).__name__}: {error}"
    seconds = round(time.perf_counter() - started, 3)
    return Fact(trial.area, trial.name, verdict, _one_line(KNOWN.hide(detail)), seconds)


def _is_denied(error: LoaderError) -> bool:
    if isinstance(error, PlanError):
        return True  # Loader itself refuses what the target does not take
    code = error.code if isinstance(error, ExecuteError) else ""
    return code == "42501" or _DENIED.search(error.message) is not None


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


_COLOURS: Mapping[Verdict, str] = {"holds": "green", "not allowed": "yellow", "differs": "red"}

_WIDTHS = (len("transactions"), len("merge by DELETE and INSERT"), len("not allowed"))
"""The widths of the columns before the details."""


def format_fact(fact: Fact, style: Style, *, verbose: bool = False) -> str:
    """Format a fact as a line of the table."""
    area, name, verdict = _WIDTHS
    duration = f" ({fact.seconds:.1f} s)" if verbose else ""
    shown = style(f"{fact.verdict:<{verdict}}", fg=_COLOURS[fact.verdict], bold=True)
    return f"{fact.area:<{area}}  {fact.name:<{name}}  {shown}  {fact.detail}{duration}"


def format_counts(facts: Sequence[Fact]) -> str:
    """Format how many facts have each verdict."""
    counts = Counter(fact.verdict for fact in facts)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
