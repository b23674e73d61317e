"""Resolve a user's source to the candidate locations of a month's file."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nyc_taxi.errors import NotPublished, SettingsError
from nyc_taxi.extract import http
from nyc_taxi.extract.candidates import Candidate, LocalFile, Published, Sample, WebFile
from nyc_taxi.model.months import PUBLICATION_LAG_MONTHS, Month, Service, expected_last
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import PROJECT, Settings

ENDINGS = (".parquet", ".csv.gz", ".csv")
"""File endings to look for, in order of preference."""

# The CSV mirror holds every month of these periods.
_MIRRORED = (Service.YELLOW, Service.GREEN)
_MIRROR_FIRST, _MIRROR_LAST = Month(2019, 1), Month(2021, 7)


@dataclass(frozen=True)
class Source:
    """One or several locations of months, in order of preference."""

    text: str
    """The source without secrets, safe to show."""
    places: Callable[[Service, Month], list[Candidate]]
    any_name: bool = False
    """Whether the source is a single file, used for any requested month."""

    def candidates(self, service: Service, month: Month) -> list[Candidate]:
        """Return the month's possible locations in order of preference; empty before the service's first."""
        return self.places(service, month) if month >= service.first_month else []

    def published(self, service: Service, month: Month) -> Published | None:
        """Return the published version of the month, if any, by a HEAD request or stat; for polling.

        An unreachable location raises SourceUnreachable even if a later one has the month: an outage
        must not look like a new version. A single file named after another service or month is not
        this month.
        """
        for candidate in self.candidates(service, month):
            if self.any_name and names_other(candidate.name, service, month):
                return None
            try:
                return candidate.published()
            except NotPublished:
                continue
        return None

    def missing(self, service: Service, month: Month) -> NotPublished:
        """Return the error for a month that no location has."""
        if month < service.first_month:
            return NotPublished(
                f"{service} {month} does not exist: TLC's {service} files begin with {service.first_month}."
            )
        tried = "; looked for " + _listed([place.url for place in self.candidates(service, month)])
        if month >= expected_last(dt.datetime.now(dt.UTC).date()):
            return NotPublished(
                f"{service} {month} is not published yet: TLC publishes about two months after a month ends, "
                f"so expect it towards the end of {month + PUBLICATION_LAG_MONTHS}{tried}."
            )
        return NotPublished(f"{service} {month} does not exist: choose another month or source{tried}.")


def resolve(text: str, settings: Settings) -> Source:
    """Parse `auto`, `tlc`, `csv`, `sample[:rows[:seed]]`, a folder, a file, a base URL or a file's URL.

    Raises SettingsError for anything else. Relative paths are resolved against the current folder,
    then against the project's.
    """
    text = text.strip()
    if text.lower() in _NAMED:
        return Source(text.lower(), functools.partial(_NAMED[text.lower()], settings))
    if re.match(r"sample(:|$)", text, re.IGNORECASE):
        return _sample(text)
    if "://" in text:
        return _url(text, settings)
    for base in (Path.cwd(), PROJECT):
        try:
            path = (base / Path(text).expanduser()).resolve()
        except RuntimeError:  # a loop, or the home of a user who does not exist
            continue
        if text and path.exists():
            return _path(path)
    if text.lower().partition(":")[0] == "lake":
        raise SettingsError("source lake cannot list published months: name the months to load.")
    raise SettingsError(
        f"source {text!r} is not known: use auto, tlc, csv, sample, lake, an http(s) URL, "
        "or a folder or file that exists."
    )


def _listed(urls: list[str]) -> str:
    """List locations in words; names below a common folder or base URL are grouped."""
    if len(urls) <= 2:
        return " and ".join(urls)
    folders, _, names = zip(*(url.rpartition("/") for url in urls), strict=True)
    places = dict.fromkeys(folder or "/" for folder in folders)
    return f"{', '.join(dict.fromkeys(names))} in {' and '.join(places)}"


def names_other(name: str, service: Service, month: Month) -> str | None:
    """Return the service and month in a file's name if they differ from the given ones, else None."""
    match = re.search(rf"({'|'.join(Service)})_tripdata_(\d{{4}}-\d{{2}})", name)
    if not match or match.groups() == (str(service), str(month)):
        return None
    return f"{match[1]} {match[2]}"


def _file_name(service: Service, month: Month, ending: str) -> str:
    return f"{service}_tripdata_{month}{ending}"


def _is_mirrored(service: Service, month: Month) -> bool:
    return service in _MIRRORED and _MIRROR_FIRST <= month <= _MIRROR_LAST


def _tlc(settings: Settings, service: Service, month: Month) -> list[Candidate]:
    url = f"{settings.tlc_url.rstrip('/')}/{_file_name(service, month, '.parquet')}"
    return [WebFile(url, RetryPolicy.of(settings))]


def _csv(settings: Settings, service: Service, month: Month) -> list[Candidate]:
    url = f"{settings.csv_url.rstrip('/')}/{service}/{_file_name(service, month, '.csv.gz')}"
    return [WebFile(url, RetryPolicy.of(settings))]


def _auto(settings: Settings, service: Service, month: Month) -> list[Candidate]:
    mirror = _csv(settings, service, month) if _is_mirrored(service, month) else []
    return [*mirror, *_tlc(settings, service, month)]


_NAMED = {"auto": _auto, "tlc": _tlc, "csv": _csv}


def _sample(text: str) -> Source:
    match = re.fullmatch(r"sample(?::([1-9]\d*)?(?::(\d+))?)?", text, re.IGNORECASE)
    if not match:
        raise SettingsError(
            f"source {text!r} is not known: write sample, sample:<rows> or sample:<rows>:<seed>."
        )
    rows, seed = int(match[1]) if match[1] else None, int(match[2] or 1)

    def places(service: Service, month: Month) -> list[Candidate]:
        ending = ".csv.gz" if _is_mirrored(service, month) else ".parquet"  # as `auto` does
        return [Sample(rows, seed, _file_name(service, month, ending))]

    return Source(text, places)


def _url(text: str, settings: Settings) -> Source:
    try:
        parts = urlsplit(text)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"the source's URL is not valid: {error}.") from None
    if scheme == "file":
        return resolve(url2pathname(parts.path), settings)
    if scheme not in ("http", "https") or not host:
        raise SettingsError(
            f"source {http.shown(text)!r} cannot be read: use an http(s) URL, a folder or a file."
        )
    retry = RetryPolicy.of(settings)
    if parts.query or re.search(r"\.(parquet|csv|gz|zip)$", parts.path, re.IGNORECASE):
        return Source(http.shown(text), lambda service, month: [WebFile(text, retry)], any_name=True)
    base = text.rstrip("/")
    return Source(
        http.shown(text),
        lambda service, month: [WebFile(f"{base}/{name}", retry) for name in _names(service, month)],
    )


def _path(path: Path) -> Source:
    if path.is_dir():
        return Source(
            str(path), lambda service, month: [LocalFile(path / name) for name in _names(service, month)]
        )
    if not path.is_file():
        raise SettingsError(f"source {str(path)!r} is a device or pipe: use a file or a folder.")
    return Source(str(path), lambda service, month: [LocalFile(path)], any_name=True)


def _names(service: Service, month: Month) -> list[str]:
    """Return the relative paths of a month below a folder or base URL."""
    return [
        f"{folder}{_file_name(service, month, ending)}"
        for folder in ("", f"{service}/")
        for ending in ENDINGS
    ]
