"""Progress bars for a terminal, one a step; nothing where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from nyc_taxi.cli.console import errors
from nyc_taxi.extract import transfer

_TITLES = {"download": "Download", "clean": "Clean", "derive": "Derive"}


@contextmanager
def bars() -> Iterator[Callable[[str], transfer.Progress]]:
    """A callback factory for `run_month`."""
    console = errors()
    if not console.is_terminal:
        yield lambda _name: lambda _done, _total: None
        return
    amount: dict[bool, MofNCompleteColumn | DownloadColumn] = {
        True: DownloadColumn(),
        False: MofNCompleteColumn(),
    }

    class Amount(TextColumn):
        def render(self, task):  # type: ignore[no-untyped-def]
            return amount[task.fields["unit"] == "bytes"].render(task)

    columns = (TextColumn("{task.description:<20}"), BarColumn(), Amount(""), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:

        def step(name: str) -> transfer.Progress:
            task: TaskID | None = None

            def tell(done: int, total: int | None) -> None:
                nonlocal task
                if task is None:
                    unit = "bytes" if name == "download" else "rows"
                    task = progress.add_task(_TITLES.get(name, f"Load into {name}"), total=total, unit=unit)
                progress.update(task, completed=done, total=total)

            return tell

        yield step
