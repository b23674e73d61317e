"""The second step of a month: apply rules and the user's transform on local scratch storage.

Arrow and DuckDB are imported where a month is cleaned: most runs find it clean.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nyc_taxi.errors import LocalFileLost, TaxiError, wrap_os_errors
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.model.references import CleanMonth, SourceFile
from nyc_taxi.pipelines.trips.download import fetch_raw
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import Settings
from nyc_taxi.telemetry import events
from nyc_taxi.transform.rules import Rules, read_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.version import month_version

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 4
"""Maximum attempts of a step whose scratch files another run removes."""


def restart_if_lost(step: Callable[[], T]) -> T:
    """Run a step that uses scratch files, restarting it if they disappear.

    Two runs of a month on one machine share scratch files, and the first to finish removes them. The other
    then restarts the step and finds the first run's result.
    """
    return RetryPolicy(ATTEMPTS).restart(step, LocalFileLost)


def clean(source: SourceFile, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Read the month and apply the rules to every row, on local scratch storage.

    If the month's Parquet already exists, the result includes the effect of `derive`.
    """
    with events.step("clean", service=source.service, month=source.month) as facts:
        cleaned, skipped = _clean(source, settings, progress)
        facts |= {"rows": cleaned.rows_in, "quarantined": cleaned.quarantined, "version": cleaned.version}
        facts["status"] = "skipped" if skipped else "ok"
        return cleaned


def _clean(source: SourceFile, settings: Settings, progress: Progress | None) -> tuple[CleanMonth, bool]:
    """The cleaned month, and whether it was clean already."""
    rules, workspace = read_rules(settings.rules, source.service), Workspace(settings.workspace)
    version = month_version(source, rules, load_transform(settings.transform))
    folder = workspace.scratch_folder(source.service, source.month, month_version(source, rules))
    lake = Lake(settings)
    cleaned = _record(folder / "clean.json", folder) or _of_parquet(source, version, lake)
    if cleaned is not None:
        log.info("%s %s is already cleaned: version %s.", source.service, source.month, cleaned.version)
        return cleaned, True
    from nyc_taxi.transform.clean import clean_month
    from nyc_taxi.transform.rule_checks import load_rules

    workspace.prune(source.service, source.month, keep=version)
    if lake.is_shared:
        workspace.prune_copies()
    source = fetch_raw(source, settings)
    with wrap_os_errors(folder):
        cleaned = clean_month(
            source,
            load_rules(settings.rules, source.service),
            folder,
            threads=settings.threads,
            max_unreadable=settings.max_unreadable,
            progress=(lambda rows: progress(rows, None)) if progress else None,
        )
        (cleaned.folder / "clean.json").write_text(json.dumps(cleaned.to_dict()), encoding="utf-8")
    _log_unknown_columns(cleaned)
    return cleaned, False


def derive(cleaned: CleanMonth, settings: Settings, progress: Progress | None = None) -> CleanMonth:
    """Apply the transform of the settings, if any, to the cleaned month.

    Cleans the month again if its scratch files were deleted or the rules have changed. Raises TransformError.
    """
    rules, transform = read_rules(settings.rules, cleaned.service), load_transform(settings.transform)
    version = month_version(cleaned.source, rules, transform)
    if cleaned.version == version:
        return cleaned
    if cleaned.version != month_version(cleaned.source, rules) or not cleaned.is_staged:
        cleaned = clean(cleaned.source, settings)
    if cleaned.version == version or transform is None:
        return cleaned
    from nyc_taxi.transform.derive import derive_month
    from nyc_taxi.transform.user.staged import derived_folder

    result = derived_folder(cleaned.folder, version) / "derived.json"
    derived = _record(result, cleaned.folder)
    if derived is None:
        who = {"service": cleaned.service, "month": cleaned.month, "version": version}
        with wrap_os_errors(cleaned.folder), events.step("derive", **who) as facts:
            derived = derive_month(
                cleaned,
                rules,
                transform,
                (lambda rows: progress(rows, cleaned.rows_in)) if progress else None,
            )
            result.write_text(json.dumps(derived.to_dict()), encoding="utf-8")
            facts["rows"] = derived.trips
    _log_derived(derived)
    return derived


def staged(cleaned: CleanMonth, settings: Settings) -> CleanMonth:
    """Return the cleaned month with its local folder, which need not exist."""
    version = month_version(cleaned.source, read_rules(settings.rules, cleaned.service))
    folder = Workspace(settings.workspace).scratch_folder(cleaned.service, cleaned.month, version)
    return cleaned.at(folder)


def discard_scratch(cleaned: CleanMonth) -> None:
    """Remove the scratch files of a month that is complete as Parquet."""
    if cleaned.local is not None:
        shutil.rmtree(cleaned.local, ignore_errors=True)


def rules_of(cleaned: CleanMonth, settings: Settings) -> Rules:
    """Return the rules that cleaned the month; raises TaxiError if they or the transform have changed."""
    rules, transform = read_rules(settings.rules, cleaned.service), load_transform(settings.transform)
    if month_version(cleaned.source, rules, transform) != cleaned.version:
        raise TaxiError(
            f"{cleaned}: {settings.rules} or {settings.transform} has changed since the month was cleaned;"
            " clean the month again."
        )
    return rules


def _record(path: Path, folder: Path) -> CleanMonth | None:
    """Return the month that a file in a scratch folder describes, if any."""
    try:
        return CleanMonth.from_dict(json.loads(path.read_text(encoding="utf-8"))).at(folder)
    except (OSError, ValueError):  # missing, or of another version of this package
        return None


def _of_parquet(source: SourceFile, version: str, lake: Lake) -> CleanMonth | None:
    """Return the month if its Parquet exists."""
    files = lake.versions.find(source.service, source.month, version)
    if files is None:
        return None
    values = {field.name: getattr(files, field.name) for field in dataclasses.fields(CleanMonth)}
    return CleanMonth(**{**values, "source": source})


def _log_derived(derived: CleanMonth) -> None:
    columns = ", ".join(derived.derived_columns) or "no column"
    log.info(
        "%s() adds %s and drops %s of the trips of %s.",
        derived.transform,
        columns,
        f"{derived.quarantined.get(derived.transform, 0):,}",
        derived,
    )


def _log_unknown_columns(cleaned: CleanMonth) -> None:
    for name in cleaned.unknown_columns:
        log.warning(
            "%s %s has a column that the schema does not know: %s. It is kept under that name; "
            "add it to nyc_taxi/schema/columns.yaml.",
            cleaned.service,
            cleaned.month,
            name,
        )
