"""Fall back to a generated month when no network is available, and tell the user."""

from __future__ import annotations

import datetime as dt

import httpx

from nyc_taxi.extract.candidates import Candidate, WebFile
from nyc_taxi.extract.sources import resolve
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import expected_last
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.settings import Settings


def choose_source(request: LoadRequest, settings: Settings) -> tuple[str | None, str]:
    """Return the source to use: the requested one, or `sample` for `auto` without network access.

    The second value is a sentence for users, empty if the source is the requested one. The source is None if
    there is nothing to do, because a sample never replaces a real month.
    """
    candidates = resolve(request.source, settings).candidates(request.service, request.month)
    published = request.service.first_month <= request.month <= expected_last(dt.datetime.now(dt.UTC).date())
    if request.source != "auto" or not published or any(_is_reachable(candidate) for candidate in candidates):
        return request.source, ""
    folder = settings.workspace / "source" / request.service / str(request.month)
    if any((folder / candidate.name).exists() for candidate in candidates):
        return request.source, ""  # the download uses this file and logs it
    opened = (open_destination(name, settings) for name in request.destinations)
    entries = (destination.ledger_entry(request.service, request.month) for destination in opened)
    held = next((entry for entry in entries if entry is not None and not entry.is_sample), None)
    if held is None:
        return "sample", f"No network access: loading a generated sample of {request}, not TLC's data."
    return None, (
        f"No network access: {request} remains as loaded on {held.finished_at:%Y-%m-%d}, "
        f"{held.rows_loaded:,} trips from {held.source_url}"
    )


def _is_reachable(candidate: Candidate) -> bool:
    """Return whether the candidate's server is reachable, whatever its response."""
    if isinstance(candidate, WebFile):
        try:
            httpx.head(candidate.location, timeout=5)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.ProxyError) as error:
            # a server with an untrusted certificate is reachable; the download reports the error
            return "CERTIFICATE" in str(error)
        except (httpx.HTTPError, httpx.InvalidURL):
            return True
    return True
