"""Load one month through Mage and show the result, for `make run` (launchers.mage.run)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from launchers.mage.environment import ensure_postgres, log_file, mage_environment
from launchers.mage.limits import MAGE_PROJECT
from launchers.mage.progress_display import Display
from launchers.mage.query import query
from launchers.subprocess_group import MAGE, reason, subprocess_group
from mage_project.utils.steps import EVENTS_FD
from mage_project.utils.variables import RUN_ID
from nyc_taxi.cli.console import SafeConsole
from nyc_taxi.cli.progress import bars
from nyc_taxi.errors import TaxiError
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.offline import choose_source
from nyc_taxi.pipelines.requests import make_request
from nyc_taxi.pipelines.trips.load import Loaded
from nyc_taxi.pipelines.trips.refine import fetch_month
from nyc_taxi.pipelines.trips.run import Outcome, find_loaded
from nyc_taxi.reporting import summary
from nyc_taxi.settings import Settings, load_settings


def load(variables: Mapping[str, Any]) -> int:
    """Load the month of the pipeline's variables; returns the exit code."""
    console = SafeConsole(highlight=False)
    try:
        settings = load_settings()
        request = make_request(variables, settings)
        log = log_file(mage_environment(), f"run-{request.service}-{request.month}")
        postgres = ensure_postgres(settings, partial(console.print, soft_wrap=True))
        source, message = choose_source(request, settings)
        if message:
            console.print(message, style="yellow" if source else None, soft_wrap=True, markup=False)
        if not source:
            return 0
        request = replace(request, source=source)
        with bars() as progress:
            outcome = find_loaded(request, settings, progress("download"))
        if outcome:  # Mage takes seconds to start
            show(outcome, settings, console)
            return 0
        return run(request, postgres, log, console)
    except TaxiError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1


def run(request: LoadRequest, postgres: dict[str, str], log: Path, console: Console) -> int:
    """Run the pipeline in a child process, show its progress and its result; returns the exit code."""
    variables = {"service": request.service, "month": str(request.month), "source": request.source}
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
    # one run id for the ledgers of all destinations; otherwise each block generates its own
    environment = {**mage_environment(), **postgres, EVENTS_FD: str(writing), RUN_ID: Run.new("mage").run_id}
    with (
        Display(console) as display,
        subprocess_group(command, log, environment, pass_fds=[writing]) as process,
        os.fdopen(reading) as events,
    ):
        os.close(writing)  # only the child holds the other end, so events end with the child
        for line in events:
            display.show(json.loads(line))
        code = process.wait()
    if code == 0:
        settings = load_settings()
        show(_outcome(display, settings), settings, console)
        return 0
    error = display.error or reason(log) or _exit_message(code)
    console.print(f"[red]{escape(error)}[/]\nFull log: {log}", soft_wrap=True)
    return code if code > 0 else 128 - code


def show(outcome: Outcome, settings: Settings, console: Console) -> None:
    """Show the summary of a successful run."""
    summary.show(console, outcome)  # each step's line above shows its seconds
    if any(each.destination == "postgres" for each in outcome.loaded):
        files = outcome.files
        console.print(f"\n{query(files.service, files.month, settings)}", soft_wrap=True, markup=False)


def _outcome(display: Display, settings: Settings) -> Outcome:
    """The result of Mage's run, from the references of its steps."""
    files = fetch_month(MonthFiles.from_dict(display.references["trips_to_parquet"]), settings)
    loaded = [
        _loaded(name, facts, files, settings)
        for reference in display.references.values()
        for name, facts in reference.get("loaded", {}).items()
    ]
    return Outcome(files, loaded)


def _loaded(name: str, facts: dict[str, Any], files: MonthFiles, settings: Settings) -> Loaded:
    entry = open_destination(name, settings).ledger_entry(files.service, files.month)
    assert entry is not None, "the exporter writes a ledger entry"
    return Loaded(name, facts["describe"], entry, facts["skipped"], facts["seconds"])


def _exit_message(code: int) -> str:
    if code < 0:
        return f"Mage was killed by {signal.Signals(-code).name}; SIGKILL usually means that memory ran out."
    return f"Mage ended with exit code {code} without an error message."
