"""The current version of each month: in the workspace, or in a lake that is a bucket.

In a workspace the links of `nyc_taxi.lake.current` say which version is current. With a lake in a bucket the
ledgers of the destinations do: it is the version that was loaded last.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from nyc_taxi.errors import TaxiError
from nyc_taxi.lake.current import current_folder, current_months
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.versions import read_month
from nyc_taxi.load.ledgers import read_ledgers
from nyc_taxi.load.registry import holders
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service, month_range
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.settings import Settings, load_settings

Months = str | Month | Iterable[str | Month] | None


def months(
    service: str | None = None, *, generated: bool = False, settings: Settings | None = None
) -> list[MonthFiles]:
    """The loaded months of a service, or of all: the current version of each, with counts, source and files.

    `generated` includes generated months, whose `source.is_sample` is true. Of a lake in a
    bucket, the files are not on this machine: see `files_of`.
    """
    settings = settings or load_settings()
    services = [Service.parse(service)] if service else list(Service)
    return [read() for each, _, read in readers(generated, settings) if each in services]


def readers(generated: bool, settings: Settings) -> list[tuple[Service, Month, Callable[[], MonthFiles]]]:
    """Service, month and what reads its manifest, of all loaded months by service and month; see `months`."""
    if Lake(settings).is_shared:
        return [
            (entry.service, entry.month, partial(_in_bucket, entry, settings))
            for entry in _entries(settings)
            if generated or not entry.is_sample
        ]
    keys = set(current_months(settings.workspace))
    if generated:
        keys |= set(current_months(settings.workspace, generated=True))
    return [(*key, partial(find_month, *key, settings)) for key in sorted(keys)]


def current_files(service: Service, month: Month, settings: Settings) -> MonthFiles:
    """The Parquet files of a month's current version: of a generated one only where there is no real one.

    Raises TaxiError when the month is not loaded.
    """
    return files_of(find_month(service, month, settings), settings)


def find_month(service: Service, month: Month, settings: Settings) -> MonthFiles:
    """The same; of a lake in a bucket, the files are not on this machine: see `files_of` and `path_of`."""
    if Lake(settings).is_shared:
        entries = _entries(settings, [(service, month)])
        if not entries:
            raise TaxiError(
                f"no destination holds {service} {month}: run `taxi run {service} {month}` first."
            )
        return _in_bucket(entries[0], settings)
    for generated in (False, True):
        folder = current_folder(settings.workspace, service, month, generated=generated)
        files = read_month(folder) if folder else None
        if files is not None:
            return files
    raise TaxiError(
        f"{service} {month} is not in the workspace {settings.workspace}:"
        f" run `taxi run {service} {month}` first."
    )


def files_of(month: CleanMonth, settings: Settings) -> MonthFiles:
    """The Parquet files of a month's version, on this machine; raises TaxiError when it is gone."""
    if isinstance(month, MonthFiles) and month.local is not None:
        return month
    versions = Lake(settings).versions
    known = month if isinstance(month, MonthFiles) else None
    files = known or versions.find(month.service, month.month, month.version)
    if files is None:
        raise TaxiError(f"{month}: version {month.version} no longer exists; clean the month again.")
    return versions.fetch(files)


def path_of(files: MonthFiles, name: str, settings: Settings) -> Path:
    """One of the Parquet files of a month's version, on this machine; raises TaxiError when it is gone."""
    return Lake(settings).versions.fetch_file(files, name)


def select_months(
    service: Service, selection: Months, generated: bool, settings: Settings
) -> list[MonthFiles]:
    """The files of the months that a call names, on this machine; see `read_trips`."""
    if selection is None:
        every = months(service, generated=generated, settings=settings)
        if not every:
            raise TaxiError(
                f"no month of {service} is loaded: run `taxi run {service} 2020-04`,"
                " or name a generated month."
            )
        return [files_of(each, settings) for each in every]
    files = [current_files(service, month, settings) for month in _parse(selection)]
    samples = [str(each.month) for each in files if each.source.is_sample]
    if samples and not generated:
        if isinstance(selection, str) and ":" in selection:
            raise TaxiError(
                f"{service} {', '.join(samples)}: generated, not TLC's data; load the real months with"
                f" `taxi backfill {service} {samples[0]} {samples[-1]}`, or pass generated=True."
            )
        warnings.warn(f"{service} {', '.join(samples)}: generated, not TLC's data.", stacklevel=3)
    return files


def _parse(selection: str | Month | Iterable[str | Month]) -> Iterator[Month]:
    if isinstance(selection, Month):
        yield selection
    elif isinstance(selection, str):
        first, _, last = selection.partition(":")
        yield from month_range(Month.parse(first), Month.parse(last or first))
    else:
        yield from map(Month.parse, selection)


def _entries(
    settings: Settings, months: Collection[tuple[Service, Month]] | None = None
) -> list[LedgerEntry]:
    """The load in force of each month, by service and month; of several destinations' the last one."""
    entries = chain.from_iterable(read_ledgers(holders(settings), settings, months).values())
    last = {(each.service, each.month): each for each in sorted(entries, key=lambda each: each.finished_at)}
    return [last[key] for key in sorted(last)]


def _in_bucket(entry: LedgerEntry, settings: Settings) -> MonthFiles:
    files = Lake(settings).versions.find(entry.service, entry.month, entry.version)
    if files is None:
        raise TaxiError(
            f"{entry.service} {entry.month}: the lake no longer holds version {entry.version};"
            f" `taxi run {entry.service} {entry.month} --force` writes it again."
        )
    return files
