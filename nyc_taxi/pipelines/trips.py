"""The steps of one month in order: the command line runs them, blocks and tasks call them one by one.

Each step may be repeated at any time: it finds existing results by the month's version and then only logs
that they exist.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import resolve
from nyc_taxi.lake.current import make_current
from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.load.contract import refuse_sample
from nyc_taxi.load.registry import REGISTRY, load_order, open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.settings import Settings
from nyc_taxi.transform.clean import clean_month, month_version
from nyc_taxi.transform.derive import derive_month
from nyc_taxi.transform.parquet import read_month, write_month
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.rules import Rules, load_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.user.staged import derived_folder

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


def download(
    service: Service, month: Month, source: str, settings: Settings, progress: Progress | None = None
) -> SourceFile:
    """Have the month's file in the workspace, fetched only when its source has another version."""
    if month < service.first_month:
        raise TaxiError(f"{service} {month}: TLC's {service} files begin with {service.first_month}.")
    if month > Month.of(dt.datetime.now(dt.UTC).date()):
        raise TaxiError(f"{service} {month}: has not begun; TLC publishes a month two months after its end.")
    return fetch(service, month, resolve(source, settings), settings.workspace, progress)


def clean(source: SourceFile, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Read every row of the month and apply the rules to it.

    Where the Parquet exists already, the month comes with what `derive` does to it.
    """
    rules, workspace = load_rules(settings.rules, source.service), Workspace(settings.workspace)
    version = month_version(source, rules, load_transform(settings.transform))
    folder = workspace.scratch_folder(source.service, source.month, month_version(source, rules))
    cleaned = _record(folder / "clean.json") or _of_parquet(source, folder, version, workspace)
    if cleaned is not None:
        log.info("%s %s is cleaned already: version %s.", source.service, source.month, cleaned.version)
        return cleaned
    workspace.prune(source.service, source.month, keep=version)
    with wrap_os_errors(folder):
        cleaned = clean_month(
            source,
            rules,
            folder,
            threads=settings.threads,
            max_unreadable=settings.max_unreadable,
            progress=(lambda rows: progress(rows, None)) if progress else None,
        )
        (folder / "clean.json").write_text(json.dumps(cleaned.to_dict()), encoding="utf-8")
    _log_unknown_columns(cleaned)
    return cleaned


def derive(cleaned: CleanMonth, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Apply the transform of the settings to the cleaned month; without one it stays as it is.

    The month is cleaned again where its rows are gone or rules have changed. Raises TransformError.
    """
    rules, transform = load_rules(settings.rules, cleaned.service), load_transform(settings.transform)
    version = month_version(cleaned.source, rules, transform)
    if cleaned.version == version:
        return cleaned
    if cleaned.version != month_version(cleaned.source, rules) or not cleaned.folder.exists():
        cleaned = clean(cleaned.source, settings)
    if cleaned.version == version or transform is None:
        return cleaned
    result = derived_folder(cleaned.folder, version) / "derived.json"
    derived = _record(result)
    if derived is None:
        with wrap_os_errors(cleaned.folder):
            derived = derive_month(
                cleaned,
                rules,
                transform,
                (lambda rows: progress(rows, cleaned.rows_in)) if progress else None,
            )
            result.write_text(json.dumps(derived.to_dict()), encoding="utf-8")
    _log_derived(derived)
    return derived


def to_parquet(cleaned: CleanMonth, settings: Settings) -> MonthFiles:
    """Have the cleaned and derived month as Parquet; raises TaxiError when rules or transform changed."""
    rules = _rules_of(cleaned, settings)
    folder = Workspace(settings.workspace).version_folder(cleaned.service, cleaned.month, cleaned.version)
    files = read_month(folder)
    if files is not None:
        log.info("%s %s is Parquet already: version %s.", cleaned.service, cleaned.month, cleaned.version)
        return files
    if not cleaned.folder.exists():
        raise TaxiError(
            f"{cleaned.folder}: the cleaned month is gone; clean {cleaned.service} {cleaned.month} again."
        )
    with wrap_os_errors(folder):
        return write_month(cleaned, rules, folder)


def load(
    month: RefinedMonth,
    destination: str,
    context: RunContext,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> Loaded:
    """Have the month in a destination, complete and recorded; never a sample over a real month.

    A destination that holds this version is left alone, unless its data is damaged or `force` is set.
    The caller has checked by `plausibility.review` that the month is plausible.
    """
    started = time.monotonic()
    summary = month.summary
    service, number = summary.service, summary.month
    target = open_destination(destination, context.settings)
    held = target.ledger_entry(service, number)
    damaged = held if held is not None and held.version == summary.version else None
    if damaged and not force:
        damage = target.find_damage(service, number)
        if damage:
            log.warning("%s %s: %s %s. Loading it again.", service, number, destination, damage)
        force = damage is not None
    if held and damaged and not force:
        log.info("%s holds %s %s already: version %s.", destination, service, number, summary.version)
        _make_current(month, context)
        return Loaded(destination, target.describe(), held, True, time.monotonic() - started)
    refuse_sample(summary, held, destination)
    entry = target.replace_month(month, context.run, progress, damaged)
    _make_current(month, context)
    return Loaded(destination, target.describe(), entry, False, time.monotonic() - started)


def run_month(
    request: LoadRequest, context: RunContext, progress: Callable[[str], Progress] | None = None
) -> Outcome:
    """All steps of one month; `progress` gives each step its own progress callback."""
    started = time.monotonic()
    settings = context.settings
    reporter = progress or (lambda _step: lambda _done, _total: None)
    seconds: dict[str, float] = {}
    for name in request.destinations:
        open_destination(name, settings)  # a missing setting is reported before anything is fetched
    with _timed(seconds, "download"):
        source = download(request.service, request.month, request.source, settings, reporter("download"))
    with _timed(seconds, "clean"):
        cleaned = clean(source, settings, reporter("clean"))
    if load_transform(settings.transform):
        with _timed(seconds, "derive"):
            cleaned = derive(cleaned, settings, reporter("derive"))
    context = review(cleaned, request.destinations, context, accept=request.accept)

    def parquet() -> MonthFiles:
        with _timed(seconds, "parquet"):
            return to_parquet(cleaned, settings)

    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        complete = read_month(
            Workspace(settings.workspace).version_folder(cleaned.service, cleaned.month, cleaned.version)
        )
        rules = None if complete else _rules_of(cleaned, settings)
        writing = pool.submit(parquet)
        try:
            month = (
                RefinedMonth.in_progress(cleaned, rules, writing)
                if rules
                else RefinedMonth.of(writing.result())
            )
            loaded = load_all(month, list(request.destinations), context, reporter, force=request.force)
            files = writing.result()
        finally:
            if not writing.exception():  # else the next run continues from what is staged
                discard_scratch(cleaned)
    seconds |= {each.destination: each.seconds for each in loaded}
    return Outcome(files, loaded, seconds, time.monotonic() - started)


def load_all(
    month: RefinedMonth,
    destinations: list[str],
    context: RunContext,
    reporter: Callable[[str], Progress],
    *,
    force: bool = False,
) -> list[Loaded]:
    """Load into several destinations side by side, each after those that the registry puts before it.

    When one fails, those that do not depend on it are finished all the same; then its error is raised, and
    those of further ones are logged.
    """
    futures: dict[str, Future[Loaded]] = {}

    def work(name: str) -> Loaded:
        for earlier in REGISTRY[name].loads_after:
            if earlier in futures:
                futures[earlier].result()
        return load(month, name, context, reporter(name), force=force)

    with ThreadPoolExecutor(max(len(destinations), 1), thread_name_prefix="load") as pool:
        for name in load_order(destinations):
            futures[name] = pool.submit(work, name)
    errors = {id(error): error for future in futures.values() if (error := future.exception())}
    first, *others = errors.values() or [None]
    for error in others:
        log.error("%s", error)
    if first:
        raise first
    return [futures[name].result() for name in destinations]


def _make_current(month: RefinedMonth, context: RunContext) -> None:
    files = month.files()
    with wrap_os_errors(files.folder):
        make_current(files, context.settings.workspace)
        Workspace(context.settings.workspace).prune(files.service, files.month, keep=files.version)


def discard_scratch(cleaned: CleanMonth) -> None:
    """Remove the cleaned month: all of it is in the Parquet files now."""
    shutil.rmtree(cleaned.folder, ignore_errors=True)


def _rules_of(cleaned: CleanMonth, settings: Settings) -> Rules:
    """The rules by which the month was cleaned; raises TaxiError when they or the transform changed since."""
    rules, transform = load_rules(settings.rules, cleaned.service), load_transform(settings.transform)
    if month_version(cleaned.source, rules, transform) != cleaned.version:
        raise TaxiError(
            f"{cleaned}: {settings.rules} or {settings.transform} has changed since the month was cleaned;"
            " clean the month again."
        )
    return rules


@contextmanager
def wrap_os_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into one sentence that names the file and what to do."""
    try:
        yield
    except OSError as error:
        raise TaxiError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error});"
            " free space or mend permissions there, or set TAXI_WORKSPACE."
        ) from error


def _record(path: Path) -> CleanMonth | None:
    """The month that a file on scratch storage describes; None where there is none."""
    try:
        return CleanMonth.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # missing, or of another version of this package
        return None


def _of_parquet(source: SourceFile, scratch: Path, version: str, workspace: Workspace) -> CleanMonth | None:
    """The month of which there is Parquet already."""
    files = read_month(workspace.version_folder(source.service, source.month, version))
    if files is None:
        return None
    values = {field.name: getattr(files, field.name) for field in dataclasses.fields(CleanMonth)}
    return CleanMonth(**{**values, "source": source, "folder": scratch})


def _log_derived(derived: CleanMonth) -> None:
    columns = ", ".join(derived.derived_columns) or "no column"
    log.info(
        "%s() adds %s and drops %s of the trips of %s.",
        derived.transform,
        columns,
        f"{derived.quarantined.get(derived.transform, 0):,}",
        derived,
    )


def _log_unknown_columns(cleaned: CleanMonth) -> None:
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
