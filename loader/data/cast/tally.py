"""What was read and refused of a load; the tallies of its parts add up to that of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loader.data.cast.report import ErrorReport
from loader.errors import FrameError
from loader.spec.file_patterns import have_places
from loader.spec.model import TableSpec
from loader.spec.partition_keys import cell_name
from loader.spec.periods import Dimension


@dataclass
class Tally:
    """The rows that were read, those that were refused, and the partitions of the others."""

    rows_read: int = 0
    report: ErrorReport = field(default_factory=ErrorReport)
    found_trailing_blanks: bool = False
    """Whether rows were refused for blanks at the end of a partition key."""
    found_other_partitions: bool = False
    """Whether rows were refused that belong to another partition than those loaded."""
    partitions: Mapping[tuple[str, ...], int] | None = None
    """The good rows of each partition, by its keys; None where they were not counted."""

    @property
    def rows_rejected(self) -> int:
        """Rows refused; a row that is bad in two columns counts once."""
        return self.report.rows

    @property
    def rows_kept(self) -> int:
        """The other rows."""
        return self.rows_read - self.report.rows

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        """The tally of all rows; the first rows to be reported are those of the first tally."""
        total, counts = cls(), Counter[tuple[str, ...]]()
        counted = True
        for tally in tallies:
            total.rows_read += tally.rows_read
            total.report.merge(tally.report)
            total.found_trailing_blanks |= tally.found_trailing_blanks
            total.found_other_partitions |= tally.found_other_partitions
            counted = counted and tally.partitions is not None
            counts.update(tally.partitions or {})
        total.partitions = counts if counted else None
        return total

    def check(self, spec: TableSpec) -> None:
        """Fail the load when rows were refused, or more of them than `max_rejects` allows.

        Raises:
            FrameError: with the first refused row of each column, and the number of further ones.
        """
        rows, contract = self.rows_rejected, spec.schema_contract
        rejects = contract.bad_rows == "reject"
        if rows == 0 or (rejects and contract.allows(rows, self.rows_read)):
            return
        origins = self.report.origins
        origin = next(iter(origins)) if len(origins) == 1 else ""
        of = f" of {'the frame' if origin == 'frame' else origin}" if origin else ""
        head = f"1 row{of} does" if rows == 1 else f"{rows:,} rows{of} do"
        head += f" not fit {spec.table}"
        if rejects:
            head += f", of {self.rows_read:,} read, and max_rejects allows {contract.max_rejects}"
        lines = [f"{head}; nothing was loaded", *self.report.lines()]
        raise FrameError(
            "\n".join(lines), hint=self._hint(spec, rejects=rejects), details=self.report.details()
        )

    def _hint(self, spec: TableSpec, *, rejects: bool) -> str | None:
        if self.found_trailing_blanks:
            return (
                "trim the text in the data, or partition by it without blanks:"
                " partition_by: [{expr: rtrim(…), data_type: …}]"
            )
        if self.found_other_partitions and have_places(spec.source.files, spec.dimensions):
            return (
                "where the name of a file tells its partition, these rows are in the wrong file;"
                " otherwise name their partitions too"
            )
        if self.found_other_partitions:
            return "name the partitions of these rows too, or load with the partition `auto`"
        if not rejects:
            return "schema_contract: {bad_rows: reject} sets such rows aside instead"
        if spec.staging.keep != "never":
            return (
                f"`loader rejects {spec.asset_key}` shows them; fix the data, or raise max_rejects"
            )
        return None

    def partition_keys(self, dimensions: Sequence[Dimension]) -> list[dict[str, str]]:
        """The partitions of the good rows, each as dimension → key, in the order of their keys."""
        names = [dimension.name for dimension in dimensions]
        return [dict(zip(names, keys, strict=True)) for keys in sorted(self.partitions or ())]

    def partition_rows(self, dimensions: Sequence[Dimension]) -> dict[str, int] | None:
        """The good rows of each partition, by `partition_keys.cell_name`; None if not counted."""
        if self.partitions is None:
            return None
        return {
            cell_name(dimensions, keys): self.partitions[keys] for keys in sorted(self.partitions)
        }
