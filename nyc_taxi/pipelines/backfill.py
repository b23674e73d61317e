"""Backfills: load several months in sequence, continuing after a month that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.model.months import Month, Service, month_range
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.trips.run import Outcome, run_month


@dataclass(frozen=True)
class Attempt:
    """The result of one month: an outcome or an error."""

    request: LoadRequest
    outcome: Outcome | None = None
    error: TaxiError | None = None

    def __str__(self) -> str:
        """Return one line for users."""
        if self.outcome is None:
            text = str(self.error)
            return text if text.startswith(str(self.request)) else f"{self.request}: {text}"
        files = self.outcome.files
        loaded = [each.destination for each in self.outcome.loaded if not each.skipped]
        where = f"loaded into {', '.join(loaded)}" if loaded else "loaded already, nothing to do"
        counts = f"{files.rows_in:,} rows in = {files.trips:,} trips + {files.rows_quarantined:,} quarantined"
        return f"{self.request}: {counts}; {where} ({self.outcome.total:.1f} s)"


def backfill_months(service: Service, first: Month, last: Month) -> list[Month]:
    """Return the months of a backfill; raises SettingsError for an empty range."""
    months = list(month_range(first, last))
    if not months:
        raise SettingsError(f"{last} is before {first}: give the first month, then the last.")
    if first < service.first_month:
        raise SettingsError(f"TLC's {service} files begin with {service.first_month}: begin there.")
    return months


def attempt(
    request: LoadRequest,
    context: RunContext,
    progress: Callable[[str], Progress] | None = None,
) -> Attempt:
    """Run all steps of one month; returns expected errors rather than raising them."""
    try:
        return Attempt(request, run_month(request, context, progress))
    except TaxiError as error:
        return Attempt(request, error=error)
