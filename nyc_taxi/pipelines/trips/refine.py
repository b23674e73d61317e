"""The third step of a month: write Parquet to the lake, for any destination on any machine."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nyc_taxi.errors import NotInLake, TaxiError, wrap_os_errors
from nyc_taxi.lake.lake import Lake
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.pipelines.trips.clean import (
    clean,
    derive,
    discard_scratch,
    restart_if_lost,
    rules_of,
)
from nyc_taxi.settings import Settings
from nyc_taxi.telemetry import datasets, events, lineage
from nyc_taxi.transform.refined import RefinedMonth
from nyc_taxi.transform.rules import read_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.version import month_version

log = logging.getLogger(__name__)


def refine(
    source: SourceFile, settings: Settings, review: Callable[[CleanMonth], object] = lambda _: None
) -> MonthFiles:
    """Clean the month on local scratch storage and store it as Parquet in the lake.

    Any number of workers may refine the same month at once. A version in the lake is not refined again.
    `review` is called with the month before its publication, and raises to prevent it.
    """
    return restart_if_lost(lambda: _refine(source, settings, review))


def _refine(source: SourceFile, settings: Settings, review: Callable[[CleanMonth], object]) -> MonthFiles:
    versions = Lake(settings).versions
    rules, transform = read_rules(settings.rules, source.service), load_transform(settings.transform)
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
    finally:
        discard_scratch(cleaned)


def to_parquet(cleaned: CleanMonth, settings: Settings) -> MonthFiles:
    """Write the cleaned month to the lake as Parquet, cleaning it again if it is not on this machine.

    Raises TaxiError if rules or transform have changed.
    """
    rules, versions = rules_of(cleaned, settings), Lake(settings).versions
    files = versions.find(cleaned.service, cleaned.month, cleaned.version)
    if files is not None:
        log.info("%s %s is already Parquet: version %s.", cleaned.service, cleaned.month, cleaned.version)
        return files
    if not cleaned.is_staged:
        cleaned = derive(clean(cleaned.source, settings), settings)
        if not cleaned.is_staged:  # another run has written the Parquet meanwhile
            return to_parquet(cleaned, settings)
    from nyc_taxi.transform.parquet import write_month

    folder = versions.place(cleaned.service, cleaned.month, cleaned.version)
    who = {"service": cleaned.service, "month": cleaned.month, "version": cleaned.version}
    with events.step("parquet", **who) as facts, lineage.job("refine", cleaned) as flow:
        with wrap_os_errors(folder):
            files = write_month(cleaned, rules, folder)
        files = versions.add(files)
        facts |= {"rows": files.trips, "bytes": sum(each.size for each in files.objects.values())}
        if lineage.is_enabled():
            flow.inputs = [datasets.raw_file(files)]
            flow.outputs = [datasets.refined_output(files, settings)]
        return files


def fetch_month(files: MonthFiles, settings: Settings) -> MonthFiles:
    """Return the refined month on this machine, from the lake or, if missing there, refined again."""
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
    """Return a refined month for loading; its files are fetched when a destination needs them."""
    return RefinedMonth.stored(files, lambda: fetch_month(files, settings))
