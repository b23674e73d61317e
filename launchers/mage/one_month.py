"""One month through Mage, and what came of it: the work behind `make run` (launchers.mage.run)."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from launchers.mage.environment import MAGE_PROJECT, ensure_postgres, log_file, mage_environment
from launchers.mage.progress_display import Display
from launchers.mage.query import query
from launchers.subprocess_group import MAGE, reason, subprocess_group
from mage_project.utils.steps import EVENTS_FD
from mage_project.utils.variables import RUN_ID, Asked
from nyc_taxi.errors import TaxiError
from nyc_taxi.extract.candidates import Candidate, WebFile
from nyc_taxi.extract.sources import resolve
from nyc_taxi.load.contract import new_run_id
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import expected_last
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.trips import Loaded, Outcome
from nyc_taxi.reporting import summary
from nyc_taxi.settings import settings


def load(variables: Mapping[str, Any]) -> int:
    """Load the month that the pipeline's variables name; the exit code."""
    console = Console(highlight=False)
    try:
        asked = Asked.from_variables(variables)
        log = log_file(mage_environment(), f"run-{asked.service}-{asked.month}")
        postgres = ensure_postgres(partial(console.print, soft_wrap=True))
        source = choose_source(asked, console)
        return run(replace(asked, source=source), postgres, log, console) if source else 0
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1


def choose_source(asked: Asked, console: Console) -> str | None:
    """The source to take: as asked, or a generated sample where `auto` has no network.

    None when there is nothing to do: a sample never replaces a real month.
    """
    places = resolve(asked.source).candidates(asked.service, asked.month)
    published = asked.service.first_month <= asked.month <= expected_last(dt.datetime.now(dt.UTC).date())
    if asked.source != "auto" or not published or any(_answers(place) for place in places):
        return asked.source
    fetched = settings().workspace / "source" / asked.service / str(asked.month)
    if any((fetched / place.name).exists() for place in places):
        return asked.source  # the download uses it, and says so
    held = open_destination("postgres").ledger_entry(asked.service, asked.month)
    if held is None or held.is_sample:
        what = f"{asked.service} {asked.month}"
        console.print(
            f"[yellow]No network: this is a generated sample of {what}, not TLC's data.[/]", soft_wrap=True
        )
        return "sample"
    console.print(
        f"No network: {asked.service} {asked.month} stays as it was loaded on {held.finished_at:%Y-%m-%d}, "
        f"{held.rows_loaded:,} trips from {held.source_url}",
        soft_wrap=True,
    )
    return None


def _answers(place: Candidate) -> bool:
    """Whether the place's server can be reached, whatever it says."""
    if isinstance(place, WebFile):
        try:
            httpx.head(place.location, timeout=5)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.ProxyError) as error:
            # a certificate that is not trusted here: someone did answer, and the download says more
            return "CERTIFICATE" in str(error)
        except (httpx.HTTPError, httpx.InvalidURL):
            return True
    return True


def run(asked: Asked, postgres: dict[str, str], log: Path, console: Console) -> int:
    """Run the pipeline as a child, drawing what it does, and show what came of it; the exit code."""
    variables = {"service": asked.service, "month": str(asked.month), "source": asked.source}
    command = [
        *MAGE,
        "run",
        str(MAGE_PROJECT),
        "taxi_trips",
        "--test",
        "--runtime-vars",
        json.dumps(variables),
    ]
    reading, writing = os.pipe()
    # one id for all destinations' ledgers: each block by itself would make up its own
    environment = {**mage_environment(), **postgres, EVENTS_FD: str(writing), RUN_ID: new_run_id("manual")}
    with (
        Display(console) as display,
        subprocess_group(command, log, environment, pass_fds=[writing]) as process,
        os.fdopen(reading) as events,
    ):
        os.close(writing)  # the child holds the other end: the events end when it does
        for line in events:
            display.show(json.loads(line))
        code = process.wait()
    if code == 0:
        show(display, console)
        return 0
    why = display.error or reason(log) or _ended(code)
    console.print(f"[red]{escape(why)}[/]\nFull log: {log}", soft_wrap=True)
    return code if code > 0 else 128 - code


def show(display: Display, console: Console) -> None:
    """The summary of a run that ended well."""
    files = MonthFiles.from_dict(display.references["trips_to_parquet"])
    loaded = [_loaded(told, files) for told in display.references.values() if told.get("destination")]
    summary.show(console, Outcome(files, loaded))  # the seconds stand behind each step above
    if any(each.destination == "postgres" for each in loaded):
        console.print(f"\n{query(files.service, files.month)}", soft_wrap=True, markup=False)


def _loaded(told: dict[str, Any], files: MonthFiles) -> Loaded:
    entry = open_destination(told["destination"]).ledger_entry(files.service, files.month)
    assert entry is not None, "the exporter has recorded it"
    return Loaded(told["destination"], told["describe"], entry, told["skipped"], told["seconds"])


def _ended(code: int) -> str:
    if code < 0:
        return f"Mage was killed by {signal.Signals(-code).name}; SIGKILL mostly means that memory ran out."
    return f"Mage ended with exit code {code} and gave no reason."
