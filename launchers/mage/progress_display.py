"""The output of `make run`: a progress bar for the current step and a line per finished step."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display:
    """Shows events of `mage_project.utils.steps` and keeps the references of finished steps."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.references: dict[str, dict[str, Any]] = {}
        """References by finished step."""
        self.notes: list[str] = []
        self.error: str | None = None
        """Error of the failed step, if any."""
        self._titles: dict[str, str] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,  # the line of the finished step replaces the bar
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
        """Show one event."""
        name = event["step"]
        match event["event"]:
            case "started":
                self._titles[name] = event["title"]
                self._progress.reset(self._task, description=event["title"], total=None, amount="")
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
                self._show_finished(name, event["seconds"])
            case "failed":
                self.error = event["error"]

    def _show_finished(self, name: str, seconds: float) -> None:
        if self.references.get(name, {}).get("loaded", True):  # an exporter may have nothing to load
            self._console.print(f"  {escape(self._titles[name]):<20} {seconds:6.1f} s")
        for note in self.notes:
            self._console.print(f"    [dim]{escape(note)}[/]")
        self.notes.clear()
        self._progress.reset(self._task, description="Working", total=None, amount="")


def _amount(name: str, done: int, total: int | None) -> str:
    if name == "download_trips":
        return f"{decimal(done)} of {decimal(total)}" if total else decimal(done)
    return f"{done:,} of {total:,} rows" if total else f"{done:,} rows"
