"""Run all steps of one month, for the command line and backfills."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field

from nyc_taxi.errors import DestinationError, NotInLake
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.lake.current import current_folder
from nyc_taxi.lake.lake import Lake
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.pipelines.trips.clean import (
    clean,
    derive,
    discard_scratch,
    restart_if_lost,
    rules_of,
)
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.load import Loaded, load_all
from nyc_taxi.pipelines.trips.refine import fetch_month, to_parquet
from nyc_taxi.settings import Settings
from nyc_taxi.telemetry import events
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.rules import read_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.version import month_version


@dataclass
class Outcome:
    """The result of a run."""

    files: MonthFiles
    loaded: list[Loaded] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by step, in order; destinations load in parallel."""
    total: float = 0.0
    """Wall-clock seconds of the run."""


def run_month(
    request: LoadRequest, context: RunContext, progress: Callable[[str], Progress] | None = None
) -> Outcome:
    """Run all steps of one month; `progress` provides each step's progress callback."""
    with events.bound(context.run):
        return restart_if_lost(lambda: _run_month(request, context, progress))


def find_loaded(request: LoadRequest, settings: Settings, progress: Progress | None = None) -> Outcome | None:
    """Return what a run would find if it had nothing to do; None if it has, or never loaded the month.

    The lake, its current version and every destination must hold, undamaged, what the source publishes.
    `progress` shows the download of a month that was published again.
    """
    service, month = request.service, request.month
    opened = {name: open_destination(name, settings) for name in request.destinations}
    entries = {name: each.ledger_entry(service, month) for name, each in opened.items()}
    held = {name: entry for name, entry in entries.items() if entry}
    if request.force or held.keys() != opened.keys():
        return None
    source = download(service, month, request.source, settings, progress)
    rules, transform = read_rules(settings.rules, service), load_transform(settings.transform)
    version = month_version(source, rules, transform)
    if any(
        entry.version != version or opened[name].find_damage(service, month, entry)
        for name, entry in held.items()
    ):
        return None
    lake = Lake(settings)
    files = lake.versions.find(service, month, version)
    if files is None:
        return None
    try:
        files = lake.versions.fetch(files)
    except NotInLake:  # a file is damaged; a run writes it again
        return None
    current = current_folder(settings.workspace, service, month, generated=source.is_sample)
    if not lake.is_shared and current != files.folder.resolve():
        return None
    return Outcome(
        files, [Loaded(name, opened[name].describe(), entry, True, 0.0) for name, entry in held.items()]
    )


def _run_month(
    request: LoadRequest, context: RunContext, progress: Callable[[str], Progress] | None
) -> Outcome:
    started = time.monotonic()
    settings = context.settings
    reporter = progress or (lambda _step: lambda _done, _total: None)
    seconds: dict[str, float] = {}
    for name in request.destinations:
        open_destination(name, settings)  # a missing setting is reported before anything is fetched
    cleaned = _clean(request, settings, reporter, seconds)
    unread: dict[str, DestinationError] = {}
    context = review(cleaned, request.destinations, context, accept=request.accept, unread=unread)
    rules = rules_of(cleaned, settings) if cleaned.is_staged else None
    with _parquet_in_background(cleaned, settings, seconds) as writing:
        loaded = load_all(
            RefinedMonth.in_progress(cleaned, rules, writing) if rules else RefinedMonth.of(writing.result()),
            list(request.destinations),
            context,
            reporter,
            force=request.force,
            unread=unread,
            accept=request.accept,
        )
        files = writing.result()
    seconds |= {each.destination: each.seconds for each in loaded}
    return Outcome(files, loaded, seconds, time.monotonic() - started)


def _clean(
    request: LoadRequest, settings: Settings, reporter: Callable[[str], Progress], seconds: dict[str, float]
) -> CleanMonth:
    """Download and clean the month, and apply the transform, if any."""
    with _timed(seconds, "download"):
        source = download(request.service, request.month, request.source, settings, reporter("download"))
    with _timed(seconds, "clean"):
        cleaned = clean(source, settings, reporter("clean"))
    if load_transform(settings.transform) is None:
        return cleaned
    with _timed(seconds, "derive"):
        return derive(cleaned, settings, reporter("derive"))


@contextmanager
def _parquet_in_background(
    cleaned: CleanMonth, settings: Settings, seconds: dict[str, float]
) -> Iterator[Future[MonthFiles]]:
    """Write the Parquet on another thread; removes the scratch files at the end unless writing failed."""

    def write() -> MonthFiles:
        with _timed(seconds, "parquet"):
            return fetch_month(to_parquet(cleaned, settings), settings)

    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        writing = pool.submit(copy_context().run, write)  # its events belong to this run
        try:
            yield writing
        finally:
            if not writing.exception():  # after a failure, the next run continues from the scratch files
                discard_scratch(cleaned)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = time.monotonic() - started
