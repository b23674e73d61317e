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
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.errors import LocalFileLost, NotInLake, SourceUnreachable, TaxiError
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import Source, resolve
from nyc_taxi.lake.current import make_current
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.load.contract import refuse_sample
from nyc_taxi.load.registry import REGISTRY, load_order, open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile, is_sample
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import RunContext
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.pipelines.stored import in_lake, is_lake
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import Settings
from nyc_taxi.transform.clean import clean_month, month_version
from nyc_taxi.transform.derive import derive_month
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.rules import Rules, load_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.user.staged import derived_folder

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""How often a run begins again because another one has removed its scratch files."""

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
    service: Service,
    month: Month,
    source: str,
    settings: Settings,
    progress: Progress | None = None,
    url: str = "",
) -> SourceFile:
    """Have the month's raw file in the lake; a version that the lake holds is not downloaded again.

    The source `lake` is the raw file that was fetched last, `lake:<prefix>` the one whose SHA-256, or whose
    refined version, begins with the prefix. When the source cannot be reached, a file that was fetched from
    it earlier is used, with a warning. `url` is recorded in place of a path that means nothing elsewhere.
    """
    if month < service.first_month:
        raise TaxiError(f"{service} {month}: TLC's {service} files begin with {service.first_month}.")
    if month > Month.of(dt.datetime.now(dt.UTC).date()):
        raise TaxiError(f"{service} {month}: has not begun; TLC publishes a month two months after it ends.")
    lake = Lake(settings)
    if is_lake(source):
        return in_lake(service, month, source, lake)
    publications = resolve(source, settings)
    if lake.is_shared and (file := _stored(service, month, publications, lake)):
        log.info("%s: the lake already holds %s (%s).", file, file.url, file.version)
        return file
    try:
        file = fetch(service, month, publications, settings.workspace, progress)
    except SourceUnreachable as error:
        urls = {place.url for place in publications.candidates(service, month)}
        try:
            file = lake.raw.latest(service, month, urls=urls)
        except NotInLake:
            raise error from None
        log.warning("%s Using the file that the lake holds (%s).", error, file.version)
        return file
    with wrap_os_errors(settings.workspace):
        return lake.raw.add(dataclasses.replace(file, url=url or file.url))


def refine(
    source: SourceFile, settings: Settings, review: Callable[[CleanMonth], object] = lambda _: None
) -> MonthFiles:
    """Have the month refined in the lake: cleaned on this machine's scratch storage and written as Parquet.

    Any number of workers may refine the same month at once. A version in the lake is not refined again.
    `review` is called with the month before it is published, and raises to prevent that.
    """
    versions = Lake(settings).versions
    rules, transform = load_rules(settings.rules, source.service), load_transform(settings.transform)
    version = month_version(source, rules, transform)
    files = versions.find(source.service, source.month, version)
    if files is not None:
        log.info("%s: the lake already holds version %s.", source, version)
        review(files)
        return files
    cleaned = clean(source, settings)
    try:
        cleaned = derive(cleaned, settings)
        review(cleaned)
        return to_parquet(cleaned, settings)
    except LocalFileLost:  # another task of this machine has refined the month and removed its scratch files
        files = versions.find(source.service, source.month, version)
        if files is None:
            raise
        return files
    finally:
        discard_scratch(cleaned)


def fetch_raw(source: SourceFile, settings: Settings) -> SourceFile:
    """The raw file on this machine: from the lake or, if that has lost it, from where it was published."""
    lake = Lake(settings)
    try:
        return lake.raw.fetch(source)
    except NotInLake as error:
        log.warning("%s Fetching it from %s.", error, source.url)
    again = download(source.service, source.month, source.url, settings)
    if again.sha256 != source.sha256:
        raise SourceUnreachable(
            f"{source}: {source.url} has changed since this run began; run the month again."
        )
    return lake.raw.fetch(again)


def fetch_month(files: MonthFiles, settings: Settings) -> MonthFiles:
    """The refined month on this machine: from the lake, or refined again if the lake has lost it."""
    lake = Lake(settings)
    try:
        return lake.versions.fetch(files)
    except NotInLake as error:
        log.warning("%s Refining it again.", error)
    again = refine(files.source, settings)
    if again.version != files.version:
        raise TaxiError(
            f"{files}: the lake has lost version {files.version}, and the rules have changed since; run the"
            " month again."
        )
    return lake.versions.fetch(again)


def stored_month(files: MonthFiles, settings: Settings) -> RefinedMonth:
    """A refined month in the lake, to be loaded; its files are fetched when a destination needs them."""
    return RefinedMonth.stored(files, lambda: fetch_month(files, settings))


def clean(source: SourceFile, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Read every row of the month and apply the rules to it, into this machine's scratch storage.

    Where the Parquet exists already, the month comes with what `derive` does to it.
    """
    rules, workspace = load_rules(settings.rules, source.service), Workspace(settings.workspace)
    version = month_version(source, rules, load_transform(settings.transform))
    folder = workspace.scratch_folder(source.service, source.month, month_version(source, rules))
    lake = Lake(settings)
    cleaned = _record(folder / "clean.json", folder) or _of_parquet(source, version, lake)
    if cleaned is not None:
        log.info("%s %s is already cleaned: version %s.", source.service, source.month, cleaned.version)
        return cleaned
    workspace.prune(source.service, source.month, keep=version)
    if lake.is_shared:
        workspace.prune_copies()
    source = fetch_raw(source, settings)
    with wrap_os_errors(folder):
        cleaned = clean_month(
            source,
            rules,
            folder,
            threads=settings.threads,
            max_unreadable=settings.max_unreadable,
            progress=(lambda rows: progress(rows, None)) if progress else None,
        )
        (cleaned.folder / "clean.json").write_text(json.dumps(cleaned.to_dict()), encoding="utf-8")
    _log_unknown_columns(cleaned)
    return cleaned


def derive(cleaned: CleanMonth, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Apply the transform of the settings to the cleaned month; without one it stays as it is.

    The month is cleaned again if its scratch files were deleted or rules have changed. Raises TransformError.
    """
    rules, transform = load_rules(settings.rules, cleaned.service), load_transform(settings.transform)
    version = month_version(cleaned.source, rules, transform)
    if cleaned.version == version:
        return cleaned
    if cleaned.version != month_version(cleaned.source, rules) or not _is_staged(cleaned):
        cleaned = clean(cleaned.source, settings)
    if cleaned.version == version or transform is None:
        return cleaned
    result = derived_folder(cleaned.folder, version) / "derived.json"
    derived = _record(result, cleaned.folder)
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
    """Write the cleaned month to the lake as Parquet; clean it again if it is not on this machine.

    Raises TaxiError when rules or transform have changed.
    """
    rules, versions = _rules_of(cleaned, settings), Lake(settings).versions
    files = versions.find(cleaned.service, cleaned.month, cleaned.version)
    if files is not None:
        log.info("%s %s is already Parquet: version %s.", cleaned.service, cleaned.month, cleaned.version)
        return files
    if not _is_staged(cleaned):
        cleaned = derive(clean(cleaned.source, settings), settings)
        if not _is_staged(cleaned):  # another run has written the Parquet meanwhile
            return to_parquet(cleaned, settings)
    folder = versions.place(cleaned.service, cleaned.month, cleaned.version)
    with wrap_os_errors(folder):
        files = write_month(cleaned, rules, folder)
    return versions.add(files)


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
    same = held if held and held.version == summary.version else None
    damage = target.find_damage(service, number) if same and not force else None
    if damage:
        log.warning("%s %s: %s %s. Loading it again.", service, number, destination, damage)
    elif same and not force:
        log.info("%s already holds %s %s: version %s.", destination, service, number, summary.version)
        _make_current(month, context)
        return Loaded(destination, target.describe(), same, True, time.monotonic() - started)
    refuse_sample(summary, held, destination)
    run = context.run
    if same and same.accepted and not run.accepted:
        run = dataclasses.replace(run, accepted=same.accepted)
    entry = target.replace_month(month, run, progress, damaged=same)
    _make_current(month, context)
    return Loaded(destination, target.describe(), entry, False, time.monotonic() - started)


def run_month(
    request: LoadRequest, context: RunContext, progress: Callable[[str], Progress] | None = None
) -> Outcome:
    """All steps of one month; `progress` gives each step its own progress callback.

    Another run of the same month may finish first and remove the scratch files that both use; the month is
    then begun again, and finds what that run has made.
    """
    for attempt in RetryPolicy(ATTEMPTS).retrying(LocalFileLost):
        with attempt:
            return _run_month(request, context, progress)
    raise AssertionError("the last attempt returns or raises")


def _run_month(
    request: LoadRequest, context: RunContext, progress: Callable[[str], Progress] | None
) -> Outcome:
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
    unread: set[str] = set()
    context = review(cleaned, request.destinations, context, accept=request.accept, unread=unread)

    def parquet() -> MonthFiles:
        with _timed(seconds, "parquet"):
            return fetch_month(to_parquet(cleaned, settings), settings)

    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        rules = _rules_of(cleaned, settings) if _is_staged(cleaned) else None
        writing = pool.submit(parquet)
        try:
            month = (
                RefinedMonth.in_progress(cleaned, rules, writing)
                if rules
                else RefinedMonth.of(writing.result())
            )
            loaded = load_all(
                month,
                list(request.destinations),
                context,
                reporter,
                force=request.force,
                unread=unread,
                accept=request.accept,
            )
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
    unread: Collection[str] = (),
    accept: bool = False,
) -> list[Loaded]:
    """Load into several destinations side by side, each after those that the registry puts before it.

    `unread`: destinations whose ledgers could not be read when the month was reviewed; it is reviewed again.
    When one fails, those that do not depend on it are finished all the same; then its error is raised, and
    those of further ones are logged.
    """
    futures: dict[str, Future[Loaded]] = {}

    def work(name: str) -> Loaded:
        for earlier in REGISTRY[name].loads_after:
            if earlier in futures:
                futures[earlier].result()
        own = review(month.summary, [name], context, accept=accept) if name in unread else context
        return load(month, name, own, reporter(name), force=force)

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
    """Let readers of the workspace find the version; with a shared lake a workspace only has copies."""
    if Lake(context.settings).is_shared:
        return
    files = month.files()
    with wrap_os_errors(files.folder):
        make_current(files, context.settings.workspace)
        Workspace(context.settings.workspace).prune(files.service, files.month, keep=files.version)


def staged(cleaned: CleanMonth, settings: Settings) -> CleanMonth:
    """The cleaned month with its folder on this machine, whether that exists or not."""
    version = month_version(cleaned.source, load_rules(settings.rules, cleaned.service))
    folder = Workspace(settings.workspace).scratch_folder(cleaned.service, cleaned.month, version)
    return cleaned.at(folder)


def _is_staged(cleaned: CleanMonth) -> bool:
    return cleaned.local is not None and cleaned.local.exists()


def discard_scratch(cleaned: CleanMonth) -> None:
    """Remove the cleaned month: all of it is in the Parquet files now."""
    if cleaned.local is not None:
        shutil.rmtree(cleaned.local, ignore_errors=True)


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
    except FileNotFoundError as error:
        raise LocalFileLost(f"{error.filename or folder}: no longer exists; run the month again.") from error
    except OSError as error:
        raise TaxiError(
            f"{error.filename or folder}: cannot be read or written ({error.strerror or error});"
            " check permissions and free space, or set TAXI_WORKSPACE."
        ) from error


def _stored(service: Service, month: Month, publications: Source, lake: Lake) -> SourceFile | None:
    """What the source publishes now, if a shared lake holds it."""
    try:
        published = publications.published(service, month)
    except SourceUnreachable:
        return None  # the download tries other places, and logs that
    # a path may be another file on another worker
    if published is None or not ("://" in published.url or is_sample(published.url)):
        return None
    return lake.raw.find(service, month, published)


def _record(path: Path, folder: Path) -> CleanMonth | None:
    """The month that a file in a scratch folder describes; None where there is none."""
    try:
        return CleanMonth.from_dict(json.loads(path.read_text(encoding="utf-8"))).at(folder)
    except (OSError, ValueError):  # missing, or of another version of this package
        return None


def _of_parquet(source: SourceFile, version: str, lake: Lake) -> CleanMonth | None:
    """The month, if its Parquet exists already."""
    files = lake.versions.find(source.service, source.month, version)
    if files is None:
        return None
    values = {field.name: getattr(files, field.name) for field in dataclasses.fields(CleanMonth)}
    return CleanMonth(**{**values, "source": source})


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
