"""Steps of the trips pipeline with the environment's settings, as a CLI, block or task calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips import load as load_step
from nyc_taxi.pipelines.trips import run as run_step
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth


def run_month(
    service: Service,
    month: Month,
    source: str,
    destinations: list[str],
    run: Run | None = None,
    progress: Callable[[str], Any] | None = None,
    *,
    accept: bool = False,
) -> run_step.Outcome:
    """Run all steps of one month."""
    request = LoadRequest(service, month, source, tuple(destinations), accept)
    return run_step.run_month(request, RunContext(load_settings(), run or Run.new("cli")), progress)


def load(files: MonthFiles, destination: str, run: Run) -> load_step.Loaded:
    """Load a month's Parquet into one destination."""
    return load_step.load(RefinedMonth.of(files), destination, RunContext(load_settings(), run))
