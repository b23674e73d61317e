"""What `make run` shows while Mage works: a bar for the step at hand, one line for each that is done."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

TITLES = {
    "download_trips": "Download",
    "clean_trips": "Clean",
    "trips_to_parquet": "Write Parquet",
    "quality_of_month": "Quality report",
    "trips_to_postgres": "Load into Postgres",
    "trips_to_gcs": "Load into GCS",
    "trips_to_warehouse": "Load into warehouse",
    "trips_to_s3": "Load into S3",
}
"""The pipeline's steps in their order, as people read them."""


class Display:
    """Draws events of `mage_project.utils.steps`; also remembers what the steps gave."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.references: dict[str, dict[str, Any]] = {}
        """Each finished step's reference."""
        self.notes: list[str] = []
        self.error: str | None = None
        """Why a step failed."""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,  # the line of the finished step takes its place
        )
        self._task = self._progress.add_task("Starting Mage", total=None, amount="")

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def show(self, event: dict[str, Any]) -> None:
        """Take one event."""
        name = event["step"]
        match event["event"]:
            case "started":
                self._progress.reset(self._task, description=TITLES.get(name, name), total=None, amount="")
            case "progress":
                amount = _amount(name, event["done"], event["total"])
                self._progress.update(
                    self._task, completed=event["done"], total=event["total"], amount=amount
                )
            case "note":
                self.notes.append(event["text"])
            case "outputs":
                self.references[name] = event["reference"]
            case "finished":
                if self.references.get(name, {}).get("destination", name):  # else it had nothing to load
                    self._console.print(f"  {TITLES.get(name, name):<20} {event['seconds']:6.1f} s")
                for note in self.notes:
                    self._console.print(f"    [dim]{escape(note)}[/]")
                self.notes.clear()
                self._progress.reset(self._task, description="Working", total=None, amount="")
            case "failed":
                self.error = event["error"]


def _amount(name: str, done: int, total: int | None) -> str:
    if name == "download_trips":
        return f"{decimal(done)} of {decimal(total)}" if total else decimal(done)
    return f"{done:,} of {total:,} rows" if total else f"{done:,} rows"
