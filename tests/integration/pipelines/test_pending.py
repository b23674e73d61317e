"""Which months are to be loaded, by what a folder has and what a ledger says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from pathlib import Path

import pytest

from nyc_taxi.load import ledgers
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.pending import months_to_check, newest_published, pending_months
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.rules import read_rules
from nyc_taxi.transform.version import version_of
from tests.support.builders import RULES
from tests.support.transforms import write_transform

GREEN, APRIL = Service.GREEN, Month(2020, 4)
STARTED = dt.datetime(2020, 7, 2, 7, 0, tzinfo=dt.UTC)
FINISHED = STARTED + dt.timedelta(minutes=10)


def publish(folder: Path, month: Month, changed: dt.datetime = STARTED - dt.timedelta(days=1)) -> Path:
    """A month in the source, with the time of its last change."""
    path = folder / f"green_tripdata_{month}.csv"
    path.write_bytes(b"VendorID,fare\n2,10\n")
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    return path


def entry(path: Path) -> LedgerEntry:
    """The ledger entry of a load of that file, by today's rules."""
    sha256 = "0" * 64
    version = version_of(GREEN, APRIL, sha256, read_rules(RULES, GREEN))
    return LedgerEntry(
        GREEN, APRIL, version, str(path), None, sha256, 1, 1, 0, 1, "0", STARTED, FINISHED, "run-1", "cli"
    )


@pytest.fixture
def ledger(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[LedgerEntry]:
    """The ledger of every destination."""
    entries: list[LedgerEntry] = []
    shelf = type("Shelf", (), {"ledger_entries": lambda self, months, deletions: entries})()
    monkeypatch.setattr(ledgers, "open_destination", lambda _name, _settings: shelf)
    return entries


@pytest.mark.parametrize(
    ("changed", "is_due"),
    [
        (STARTED - dt.timedelta(minutes=1), False),
        (STARTED + dt.timedelta(minutes=5), True),  # the load may have read the file before the change
        (FINISHED + dt.timedelta(minutes=1), True),
    ],
)
def test_a_month_republished_since_its_load_began_is_due(
    tmp_path: Path, ledger: list[LedgerEntry], changed: dt.datetime, is_due: bool
) -> None:
    ledger.append(entry(publish(tmp_path, APRIL, changed)))
    months = pending_months([GREEN], APRIL, APRIL, str(tmp_path), ["gcs"], load_settings())
    reasons = [(each.month, each.why) for each in months]
    assert reasons == ([(APRIL, "gcs holds an earlier version")] if is_due else [])


def test_a_month_of_other_rules_or_another_transform_is_due(
    tmp_path: Path, ledger: list[LedgerEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def due() -> list[str]:
        return [
            each.why
            for each in pending_months([GREEN], APRIL, APRIL, str(tmp_path), ["gcs"], load_settings())
        ]

    ledger.append(entry(publish(tmp_path, APRIL)))
    assert due() == []
    text = RULES.read_text(encoding="utf-8")
    changed = tmp_path / "rules.yaml"
    monkeypatch.setenv("TAXI_RULES", str(changed))
    changed.write_text(text + "# a comment\n", encoding="utf-8")
    assert due() == []
    changed.write_text(text.replace("trip_distance > 300", "trip_distance > 200"), encoding="utf-8")
    assert due() == ["gcs holds it with other rules or another transform"]
    changed.write_text(text, encoding="utf-8")
    assert due() == []
    transform = write_transform(tmp_path / "derive_trips.py", "return trips[:1]")
    monkeypatch.setenv("TAXI_TRANSFORM", str(transform))
    assert due() == ["gcs holds it with other rules or another transform"]
    ledger[0] = dataclasses.replace(ledger[0], source_url="somewhere else, on purpose")
    assert due() == []


def test_a_month_that_was_deleted_on_purpose_is_not_due(
    tmp_path: Path, ledger: list[LedgerEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, APRIL, FINISHED + dt.timedelta(days=1))
    path = publish(tmp_path, APRIL + 1)
    ledger.append(dataclasses.replace(entry(path), action="delete"))
    months = pending_months([GREEN], APRIL, APRIL + 1, str(tmp_path), ["gcs"], load_settings())
    assert [each.month for each in months] == [APRIL + 1]


def test_a_run_looks_half_a_year_back_and_one_month_ahead_of_the_usual_delay() -> None:
    day = dt.date(2020, 7, 2)
    assert months_to_check(day) == (Month(2019, 12), Month(2020, 6))
    assert months_to_check(day, Month(2009, 1)) == (Month(2009, 1), Month(2020, 6))


@pytest.mark.parametrize(("late", "newest"), [(0, APRIL), (1, APRIL - 1), (2, APRIL - 2), (3, APRIL)])
def test_the_newest_published_month_is_at_most_two_months_late(
    tmp_path: Path, workspace: Path, late: int, newest: Month
) -> None:
    publish(tmp_path, APRIL - late)
    publish(tmp_path, APRIL - 6)
    assert newest_published(GREEN, APRIL, str(tmp_path), load_settings()) == newest
