"""The steps in order: what the command line runs, and what blocks and tasks call one by one.

Each step may be repeated at any time: it finds what is there already by the month's version and
then does nothing but say so.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import resolve
from nyc_taxi.lake import workspace
from nyc_taxi.load.contract import EarlyDestination, LedgerEntry, Run, refuse_sample
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.settings import settings
from nyc_taxi.transform.clean import clean_month, month_version
from nyc_taxi.transform.judged import ComingMonth
from nyc_taxi.transform.parquet import read_month, write_month
from nyc_taxi.transform.quality import unusual_size
from nyc_taxi.transform.rules import Rules, load_rules

log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with (done, in all if known): bytes while downloading, rows afterwards."""


@dataclass(frozen=True)
class Loaded:
    """What loading into one destination came to."""

    destination: str
    describe: str
    """Where it is, for people."""
    entry: LedgerEntry
    skipped: bool
    """The destination held this version already."""
    seconds: float


@dataclass
class Outcome:
    """What a run came to."""

    files: MonthFiles
    loaded: list[Loaded] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by step, in order; destinations are loaded side by side."""
    total: float = 0.0
    """Seconds from beginning to end."""


def download(service: Service, month: Month, source: str, progress: Progress | None = None) -> SourceFile:
    """Have the month's file in the workspace, fetched only when its source has another version."""
    if month < service.first_month:
        raise TaxiError(f"{service} {month}: TLC's {service} files begin with {service.first_month}.")
    if month > Month.of(dt.datetime.now(dt.UTC).date()):
        raise TaxiError(f"{service} {month}: has not begun; TLC publishes a month two months after its end.")
    return fetch(service, month, resolve(source), settings().workspace, progress)


def clean(source: SourceFile, progress: Progress | None = None) -> CleanMonth:
    """Read and judge every row of the month."""
    rules = _rules(source.service)
    version = month_version(source, rules)
    folder = workspace.scratch_folder(source.service, source.month, version)
    done = _cleaned(source, version)
    if done is not None:
        log.info("%s %s is cleaned already: version %s.", source.service, source.month, version)
        return done
    workspace.prune(source.service, source.month, keep=version)
    config = settings()
    with wrap_os_errors(folder):
        cleaned = clean_month(
            source,
            rules,
            folder,
            threads=config.threads,
            max_unreadable=config.max_unreadable,
            progress=(lambda rows: progress(rows, None)) if progress else None,
        )
        (folder / "clean.json").write_text(json.dumps(cleaned.to_dict()), encoding="utf-8")
    _report(cleaned)
    return cleaned


def to_parquet(cleaned: CleanMonth) -> MonthFiles:
    """Have the judged month as Parquet."""
    folder = workspace.version_folder(cleaned.service, cleaned.month, cleaned.version)
    files = read_month(folder)
    if files is not None:
        log.info("%s %s is Parquet already: version %s.", cleaned.service, cleaned.month, cleaned.version)
        return files
    if not cleaned.folder.exists():
        raise TaxiError(
            f"{cleaned.folder}: the cleaned month is gone; clean {cleaned.service} {cleaned.month} again."
        )
    rules = _rules_of(cleaned)
    with wrap_os_errors(folder):
        return write_month(cleaned, rules, folder)


def load(
    month: MonthFiles | ComingMonth, destination: str, run: Run, progress: Progress | None = None
) -> Loaded:
    """Have the month in a destination, complete and recorded; never a sample over a real month."""
    started = time.monotonic()
    files = month.clean if isinstance(month, ComingMonth) else month
    there = open_destination(destination)
    before = there.ledger_entry(files.service, files.month)
    if before is not None and before.version == files.version:
        log.info(
            "%s holds %s %s already: version %s.", destination, files.service, files.month, files.version
        )
        return Loaded(destination, there.describe(), before, True, time.monotonic() - started)
    refuse_sample(files, before, destination)
    earlier = {row.month: row.rows_loaded for row in there.ledger_entries() if row.service == files.service}
    if isinstance(month, MonthFiles):
        entry = there.replace_month(month, run, progress)
    elif isinstance(there, EarlyDestination):
        entry = there.replace_coming_month(month, run, progress)
    else:
        entry = there.replace_month(month.files(), run, progress)
    year = {month: trips for month, trips in earlier.items() if files.month - 12 <= month < files.month}
    odd = unusual_size(files.trips, year)
    if odd:
        log.warning("%s %s: %s; look at it before you trust it.", files.service, files.month, odd)
    return Loaded(destination, there.describe(), entry, False, time.monotonic() - started)


def run_month(
    service: Service,
    month: Month,
    source: str,
    destinations: list[str],
    run: Run,
    progress: Callable[[str], Progress] | None = None,
) -> Outcome:
    """All steps of one month; `progress` gives each step its own progress callback."""
    started = time.monotonic()
    tell = progress or (lambda _step: lambda _done, _total: None)
    seconds: dict[str, float] = {}
    for name in destinations:
        open_destination(name)  # what is not set is said before anything is fetched
    with _timed(seconds, "download"):
        source_file = download(service, month, source, tell("download"))
    with _timed(seconds, "clean"):
        cleaned = clean(source_file, tell("clean"))

    def parquet() -> MonthFiles:
        with _timed(seconds, "parquet"):
            return to_parquet(cleaned)

    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        there = read_month(workspace.version_folder(service, month, cleaned.version))
        coming = None if there else _rules_of(cleaned)
        writing = pool.submit(parquet)
        try:
            wanted = ComingMonth(cleaned, coming, writing) if coming else writing.result()
            loaded = load_all(wanted, destinations, run, tell)
            files = writing.result()
        finally:
            if not writing.exception():  # else the next run goes on from what is staged
                shutil.rmtree(workspace.scratch_folder(service, month, cleaned.version), ignore_errors=True)
    seconds |= {each.destination: each.seconds for each in loaded}
    return Outcome(files, loaded, seconds, time.monotonic() - started)


def load_all(
    month: MonthFiles | ComingMonth, destinations: list[str], run: Run, tell: Callable[[str], Progress]
) -> list[Loaded]:
    """Load into several destinations side by side; BigQuery after the bucket, from which it loads.

    When one fails the others are finished all the same; then its error is raised, and those of further ones
    are logged.
    """
    chains = [["gcs", "bigquery"], ["postgres"], ["s3"], ["duckdb"]]
    wanted = [[name for name in chain if name in destinations] for chain in chains]

    def work(chain: list[str]) -> list[Loaded]:
        return [load(month, name, run, tell(name)) for name in chain]

    with ThreadPoolExecutor(len(chains), thread_name_prefix="load") as pool:
        done = [pool.submit(work, chain) for chain in wanted if chain]
    errors = {id(error): error for future in done if (error := future.exception())}
    first, *others = errors.values() or [None]
    for error in others:
        log.error("%s", error)
    if first:
        raise first
    loaded = {each.destination: each for future in done for each in future.result()}
    return [loaded[name] for name in destinations]


def _rules_of(cleaned: CleanMonth) -> Rules:
    """The rules by which the month was cleaned; raises TaxiError when they have changed since."""
    rules = _rules(cleaned.service)
    if month_version(cleaned.source, rules) != cleaned.version:
        raise TaxiError(
            f"{settings().rules}: the rules have changed since {cleaned.service} {cleaned.month} was cleaned;"
            " clean it again."
        )
    return rules


@contextmanager
def wrap_os_errors(folder: Path) -> Iterator[None]:
    """What goes wrong with the disk, in a sentence."""
    try:
        yield
    except OSError as error:
        raise TaxiError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error});"
            " free space or mend permissions there, or set TAXI_WORKSPACE."
        ) from error


def _rules(service: Service) -> Rules:
    return load_rules(settings().rules, service)


def _cleaned(source: SourceFile, version: str) -> CleanMonth | None:
    """The judged month, if it is there: on scratch, or as the Parquet made of it."""
    scratch = workspace.scratch_folder(source.service, source.month, version)
    try:
        return CleanMonth.from_dict(json.loads((scratch / "clean.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):  # not there, or of another version of this package
        pass
    files = read_month(workspace.version_folder(source.service, source.month, version))
    if files is None:
        return None
    values = {name: getattr(files, name) for name in CleanMonth.__dataclass_fields__}
    return CleanMonth(**{**values, "source": source, "folder": scratch})


def _report(cleaned: CleanMonth) -> None:
    for name in cleaned.unknown_columns:
        log.warning(
            "%s %s has a column that the schema does not know: %s. It is kept under that name; "
            "add it to nyc_taxi/schema/columns.yaml.",
            cleaned.service,
            cleaned.month,
            name,
        )


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = time.monotonic() - started
