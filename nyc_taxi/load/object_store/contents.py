"""What is sent of a month: its files as objects, and how much of them has arrived."""

from __future__ import annotations

from nyc_taxi.errors import DestinationError
from nyc_taxi.lake.object_store.store import Content, Sent
from nyc_taxi.lake.versions import PARQUET
from nyc_taxi.load.contract import Progress, check_counts
from nyc_taxi.load.footer import footer
from nyc_taxi.load.object_store.layout import KINDS
from nyc_taxi.model.references import MonthFiles


def contents_of(files: MonthFiles) -> dict[str, Content]:
    """The month's files by kind, in the order they are written; raises DestinationError for a changed one."""
    contents = {}
    for kind in KINDS:
        path = files.folder / f"{kind}.parquet"
        contents[kind] = Content.of(path, PARQUET)
        known = files.objects.get(path.name)
        if known and known.sha256 != contents[kind].sha256:
            raise DestinationError(
                f"{path}: has changed since it was written (its SHA-256 differs); delete {files.folder} and"
                " run the month again."
            )
    check_counts(files, footer(files.trips_path).num_rows, footer(files.quarantine_path).num_rows)
    return contents


class SentRows:
    """Turns bytes sent into the rows that a progress callback counts; never counts backwards."""

    def __init__(self, rows: int, progress: Progress | None) -> None:
        self.size = 1
        """Of all objects together, in bytes."""
        self._rows, self._progress = rows, progress
        self._most = 0

    def above(self, done: int) -> Sent:
        """Count an object's bytes on top of those of the objects before it."""

        def sent(size: int) -> None:
            self._most = max(self._most, done + size)
            if self._progress:
                self._progress(self._rows * min(self._most, self.size) // self.size, self._rows)

        return sent
