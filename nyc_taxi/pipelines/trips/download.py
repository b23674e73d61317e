"""The first step of a month: fetch its raw file into the lake and onto this machine."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging

from nyc_taxi.errors import NotInLake, SourceUnreachable, TaxiError, wrap_os_errors
from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import Source, resolve
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.lake.lake import Lake
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile, is_sample
from nyc_taxi.pipelines.stored import in_lake, is_lake
from nyc_taxi.settings import Settings
from nyc_taxi.telemetry import events

log = logging.getLogger(__name__)


def download(
    service: Service,
    month: Month,
    source: str,
    settings: Settings,
    progress: Progress | None = None,
    url: str = "",
) -> SourceFile:
    """Store the month's raw file in the lake unless the lake already holds the published version.

    The source `lake` selects the last fetched raw file, `lake:<prefix>` the one whose SHA-256 or refined
    version begins with the prefix. If the source is unreachable, a file fetched from it earlier is used, with
    a warning. `url` replaces a local path in the record.
    """
    with events.step("download", service=service, month=month) as facts:
        file = _download(service, month, source, settings, progress, url)
        facts |= {"bytes": file.size}
        return file


def _download(
    service: Service, month: Month, source: str, settings: Settings, progress: Progress | None, url: str
) -> SourceFile:
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


def fetch_raw(source: SourceFile, settings: Settings) -> SourceFile:
    """Return the raw file on this machine, from the lake or, if missing there, from its original source."""
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


def _stored(service: Service, month: Month, publications: Source, lake: Lake) -> SourceFile | None:
    """Return the currently published file if a shared lake holds it."""
    try:
        published = publications.published(service, month)
    except SourceUnreachable:
        return None  # the download tries other candidates and logs this
    # the same path may be a different file on another worker
    if published is None or not ("://" in published.url or is_sample(published.url)):
        return None
    return lake.raw.find(service, month, published)
