"""Several months one after another: one that fails does not keep the others from being loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.load.contract import Run
from nyc_taxi.model.months import Month, Service, month_range
from nyc_taxi.pipelines import trips


@dataclass(frozen=True)
class Done:
    """What became of one month: an outcome or an error."""

    service: Service
    month: Month
    outcome: trips.Outcome | None = None
    error: TaxiError | None = None

    def __str__(self) -> str:
        """One line for people."""
        name = f"{self.service} {self.month}"
        if self.outcome is None:
            text = str(self.error)
            return text if text.startswith(name) else f"{name}: {text}"
        files = self.outcome.files
        loaded = [each.destination for each in self.outcome.loaded if not each.skipped]
        where = f"loaded into {', '.join(loaded)}" if loaded else "held already, nothing was loaded"
        counts = f"{files.rows_in:,} rows in = {files.trips:,} trips + {files.rows_quarantined:,} quarantined"
        return f"{name}: {counts}; {where} ({self.outcome.total:.1f} s)"


def asked_range(service: Service, first: Month, last: Month) -> list[Month]:
    """The months of a backfill; raises SettingsError for a range without months."""
    months = list(month_range(first, last))
    if not months:
        raise SettingsError(f"{last} is before {first}: give the first month, then the last.")
    if first < service.first_month:
        raise SettingsError(f"TLC's {service} files begin with {service.first_month}: begin there.")
    return months


def attempt(
    service: Service,
    month: Month,
    source: str,
    destinations: list[str],
    run: Run,
    progress: Callable[[str], trips.Progress] | None = None,
) -> Done:
    """All steps of one of several months; an expected error is told rather than raised."""
    try:
        return Done(service, month, trips.run_month(service, month, source, destinations, run, progress))
    except TaxiError as error:
        return Done(service, month, error=error)
