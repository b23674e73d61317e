"""`python -m benchmarks` (`make bench`): run all contenders in turn and compare them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from benchmarks import history, machine, report
from benchmarks.figures import TARGETS, Figure, summarise
from benchmarks.lineup import LINEUP, OURS, TAXI_RUN, THEIRS, Contender, Trial
from benchmarks.measure import Failed, Measured, run
from benchmarks.months import FOLDER, GeneratedMonth, Prepared, prepare
from benchmarks.place import place
from nyc_taxi.errors import TaxiError

ROWS = 1_370_000
"""Rows of the month, about as many as TLC's yellow January of 2021."""
LARGE_ROWS = 10_000_000
"""Rows of the large month, about as many as TLC's largest months."""
WARM_UP_ROWS = 2_000

LARGE = dataclasses.replace(TAXI_RUN, name="large", title="ours: taxi run")

Entry = tuple[Contender, Trial]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 1 if a contender failed, and 0 even if a target is missed."""
    options = _arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: stops the servers
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    large = 0 if options.quick else options.large_rows
    rounds = 1 if options.quick else options.rounds
    month, small = GeneratedMonth(options.rows), GeneratedMonth(WARM_UP_ROWS)
    slow_month = GeneratedMonth(options.rows // 10) if options.quick else month

    def log(text: str) -> None:
        console.print(escape(text), soft_wrap=True)

    try:
        if not Path(THEIRS).exists():
            raise TaxiError(f"{THEIRS} does not exist: `requirements/install.sh bench` creates it.")
        for each in {small, month, slow_month, *([GeneratedMonth(large)] if large else [])}:
            each.generate(log)
        with place(FOLDER, needed=1000 * max(options.rows, large) + 3 * 10**9) as site:
            facts = machine.describe(site)
            prepared = prepare(month, site)
            entries = [
                (contender, Trial(slow_month if contender.slow else month, prepared, site))
                for contender in LINEUP
            ]
            if large:
                entries.append((LARGE, Trial(GeneratedMonth(large), prepared, site)))
            if month.rows > small.rows:
                warm_up(Trial(small, prepare(small, site), site), log)
            figures = compete(entries, rounds, options.budget * 60, log)
            reckoned, measured = reckon(figures, month.rows, prepared)
    except (TaxiError, subprocess.CalledProcessError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    outcomes = [target.outcome(figures) for target in TARGETS]
    report.show(figures, outcomes, facts, console)
    if options.json:
        document = {
            "machine": facts,
            "rows": options.rows,
            "figures": [dataclasses.asdict(figure) for figure in figures.values()],
            "targets": [dataclasses.asdict(outcome) for outcome in outcomes],
            "history": reckoned and dataclasses.asdict(reckoned),
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if options.docs and reckoned:
        sections = {
            "figures": report.figures_text(figures, outcomes, facts, options.rows),
            "history": report.history_text(reckoned, measured),
        }
        report.write_into(report.PAGE, sections)
        console.print(f"written into {report.PAGE}", soft_wrap=True)
    return 1 if any(figure.failure for figure in figures.values()) else 0


def warm_up(trial: Trial, log: Callable[[str], None]) -> None:
    """Run all contenders once, untimed, to compile modules and fill the page cache."""
    log(f"Warm-up: every contender runs once on {trial.month.rows:,} rows, untimed.")
    for contender in LINEUP:
        with suppress(Failed):  # it will fail again, with a message
            attempt(contender, trial)


def compete(
    entries: list[Entry], rounds: int, budget: float, log: Callable[[str], None]
) -> dict[str, Figure]:
    """Run all contenders in turn, by round; returns figures by name. `budget`: seconds for slow ones."""
    began = time.monotonic()
    runs: dict[str, list[Measured]] = {contender.name: [] for contender, _ in entries}
    failures: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for contender, trial in entries:
            done = runs[contender.name]
            if contender.name in failures:
                continue
            if (
                contender.slow
                and done
                and not _another(len(done), done[-1].wall, budget - (time.monotonic() - began))
            ):
                continue
            try:
                done.append(attempt(contender, trial))
                result = f"{done[-1].wall:8.2f} s"
            except Failed as failed:
                failures[contender.name] = str(failed)
                result = f"failed: {failed}"
            log(f"round {number} of {rounds}  {contender.title:<32} {result}")
    return {contender.name: _figure(contender, trial, runs, failures) for contender, trial in entries}


def attempt(contender: Contender, trial: Trial) -> Measured:
    """Run once on empty tables and check that all rows were loaded; raises Failed."""
    site = trial.place
    site.reset()
    log = site.folder / "logs" / f"{site.runs}-{contender.name}.log"
    with site.limited_to(contender.cores):
        measured = run(contender.command(trial), site.environment(), log)
    contender.check(trial)
    if contender.timed and contender.timed not in measured.steps:
        raise Failed(f"it did not print how long {contender.timed} took")
    return measured


def _another(done: int, took: float, left: float) -> bool:
    """Return whether a slow contender runs again: at most three times, within the budget."""
    return done < 3 and took < left


def _figure(
    contender: Contender, trial: Trial, runs: dict[str, list[Measured]], failures: dict[str, str]
) -> Figure:
    name, done, failure = contender.name, runs[contender.name], failures.get(contender.name, "")
    figure = Figure(name, contender.title, contender.group, trial.month.rows, len(done), failure=failure)
    return figure if failure else summarise(figure, done, contender.steps, contender.timed)


def reckon(figures: dict[str, Figure], rows: int, prepared: Prepared) -> tuple[history.History | None, int]:
    """Estimate all of TLC's history from the largest month of `taxi run`; also returns that month's rows.

    `prepared` belongs to a month of `rows` rows.
    """
    ran = [figures[name] for name in ("large", "taxi_run") if name in figures and not figures[name].failure]
    if not ran:
        return None, 0
    child = [OURS, "-m", "benchmarks.history", str(prepared.parquet / "trips.parquet")]
    logical = subprocess.run(child, capture_output=True, text=True, check=True).stdout
    parquet = sum(path.stat().st_size for path in prepared.parquet.glob("*.parquet"))
    sizes = history.Sizes(rows, parquet, int(logical))
    return history.reckon(ran[0].rows, ran[0].seconds, sizes), ran[0].rows


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Run all contenders in turn and compare them."
    )
    quick = "one round, slow contenders on a tenth of the rows, no large month"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the month")
    parser.add_argument("--large-rows", type=int, default=LARGE_ROWS, help="rows of the large month; 0: none")
    budget = "minutes after which slow contenders are not run again (default: 25)"
    parser.add_argument("--budget", type=float, default=25.0, help=budget)
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--docs", action="store_true", help="also write them to docs/performance.md")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
