"""A month in one line: its counts, and the measures of its quality report."""

from __future__ import annotations

from dataclasses import dataclass, field

from nyc_taxi.model.references import MonthFiles
from nyc_taxi.reporting import preview

_ROWS = 100_000
"""More than the report of the widest file has."""


@dataclass(frozen=True)
class MonthSummary:
    """A month in one line."""

    files: MonthFiles
    measures: dict[tuple[str, str], float] = field(default_factory=dict)
    """The quality report: value by measure and subject, without those that have none."""

    def get(self, measure: str, *subjects: str) -> float | None:
        """The first of these figures that the month has."""
        return next(
            (self.measures[measure, each] for each in subjects if (measure, each) in self.measures), None
        )

    def by_subject(self, measure: str) -> dict[str, float]:
        """The values of a measure, in the report's order."""
        return {subject: value for (name, subject), value in self.measures.items() if name == measure}

    @property
    def quarantined_share(self) -> float:
        """Share of the rows."""
        return self.files.rows_quarantined / max(self.files.rows_in, 1)


def summarise(files: MonthFiles) -> MonthSummary:
    """Read a month's quality report; raises TaxiError if it is damaged."""
    rows = preview.head(files.quality_path, _ROWS).to_pylist()
    return MonthSummary(
        files, {(row["measure"], row["subject"]): row["value"] for row in rows if row["value"] is not None}
    )
