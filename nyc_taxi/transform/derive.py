"""Deriving: apply a user's function to the trips of a cleaned month, batch by batch.

The batches are those staged by cleaning. Added columns and dropped rows are written beside them; the Parquet,
and tables loaded meanwhile, combine both.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from nyc_taxi.errors import TransformError
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.schema import service_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.judged import StagedMonth
from nyc_taxi.transform.rules import BUILT_IN_WHY, Rules
from nyc_taxi.transform.user.frames import return_heap
from nyc_taxi.transform.user.function import BatchFunction
from nyc_taxi.transform.user.result import ROW, RefusedResult, spread, widen
from nyc_taxi.transform.user.source import Transform
from nyc_taxi.transform.user.staged import DerivedWriter, derived_folder
from nyc_taxi.transform.version import month_version

Progress = Callable[[int], None]
"""Called with the number of rows processed so far."""


def derive_month(
    clean: CleanMonth, rules: Rules, transform: Transform, progress: Progress | None = None
) -> CleanMonth:
    """Apply the transform to a month cleaned by `rules`, and write the result to its scratch folder.

    Raises TransformError if the function fails, if it returns anything but all or some of its trips with
    columns added, or if a rule has the same name.
    """
    if transform.name in {*BUILT_IN_WHY, *(rule.name for rule in rules.rules)}:
        raise TransformError(f"{_where(transform)} has the name of a rule; rename one of them.")
    version = month_version(clean.source, rules, transform)
    folder = derived_folder(clean.folder, version)
    building = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    building.mkdir()
    counts = _Counts(rules)
    try:
        types = _write(clean, transform, building, counts, progress)
        if not folder.exists():
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        return_heap()
    quarantined = {**clean.quarantined, **({transform.name: counts.dropped} if counts.dropped else {})}
    return dataclasses.replace(
        clean,
        version=version,
        rules=hashlib.sha256(f"{rules.fingerprint}\n{transform.fingerprint}".encode()).hexdigest(),
        trips=clean.trips - counts.dropped,
        quarantined=quarantined,
        flagged=counts.left(clean.flagged),
        transform=transform.name,
        derived_columns=[name for name, kind in types.items() if not pa.types.is_null(kind)],
    )


def _write(
    clean: CleanMonth, transform: Transform, folder: Path, counts: _Counts, progress: Progress | None
) -> dict[str, pa.DataType]:
    """Write the month's batches; returns the types of the added columns."""
    function = BatchFunction(transform)
    types: dict[str, pa.DataType] = {}
    done = 0
    with StagedMonth(clean) as staged, DerivedWriter(folder) as writer:
        columns = service_columns(clean.service)
        extra = [staged.rows.schema.field(name) for name in clean.unknown_columns]
        schema = arrow_schema(columns, [*extra, staged.rows.schema.field(ROW)])
        for batch, reasons, flags, _ in staged.verdicts():
            places = np.flatnonzero(reasons == 0)
            added = {name: pa.nulls(len(batch), kind) for name, kind in types.items()}
            dropped = np.zeros(len(batch), bool)
            if len(places):
                trips = _trips(batch, places, schema)
                first = trips[ROW][0].as_py()
                try:
                    result = function(trips)
                    types = widen(types, result.added)
                except RefusedResult as refusal:
                    raise TransformError(
                        f"{_where(transform)} {refusal} (the trips from row {first:,} of {clean} on)."
                    ) from None
                dropped[places] = True
                dropped[places[result.kept]] = False
                added = {
                    name: spread(values, places[result.kept], len(batch))
                    for name, values in result.added.items()
                }
                counts.add(flags[dropped])
            writer.write(dropped, added, types)
            done += len(batch)
            if progress:
                progress(done)
    return types


def _trips(batch: pa.RecordBatch, places: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    """Return the trips of a staged batch, with all columns that the function receives."""
    kept = batch if len(places) == len(batch) else batch.take(pa.array(places))
    names = set(batch.schema.names)
    arrays = [
        kept[field.name] if field.name in names else pa.nulls(len(kept), field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _where(transform: Transform) -> str:
    return f"{transform.path}, line {transform.line}: {transform.name}()"


class _Counts:
    """Counts of dropped trips and of their flags."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._flags: Counter[str] = Counter()
        self.dropped = 0

    def add(self, flags: np.ndarray) -> None:
        """Count dropped trips by their verdicts."""
        self.dropped += len(flags)
        masks, counts = np.unique(flags[flags != 0], return_counts=True)
        for mask, count in zip(masks.tolist(), counts.tolist(), strict=True):
            for name in self._rules.names(mask, "flag"):
                self._flags[name] += count

    def left(self, flagged: dict[str, int]) -> dict[str, int]:
        """Return the number of remaining trips by flag."""
        return {
            name: count - self._flags[name] for name, count in flagged.items() if count > self._flags[name]
        }
