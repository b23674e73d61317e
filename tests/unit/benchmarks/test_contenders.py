"""Every contender on a small month: that it runs and loads every row, not how fast it is."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.__main__ import LARGE
from benchmarks.lineup import LINEUP, THEIRS, Trial, loaded_all
from benchmarks.measure import Failed
from benchmarks.months import GeneratedMonth
from nyc_taxi.settings import PROJECT


@pytest.mark.slow
@pytest.mark.mage
def test_all_of_them_run_and_load_every_row(tmp_path):
    try:
        subprocess.run([THEIRS, "--version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("there is no .venv-bench: requirements/install.sh bench makes it")
    command = [sys.executable, "-m", "benchmarks", "--rows", "2000", "--large-rows", "4000", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "figures.json")], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "figures.json").read_text())
    figures = {figure["name"]: figure for figure in written["figures"]}
    assert set(figures) == {contender.name for contender in (*LINEUP, LARGE)}
    assert all(figure["seconds"] > 0 and figure["rounds"] == 1 for figure in figures.values())
    assert set(figures["taxi_run"]["steps"]) == {"download", "clean", "parquet", "postgres"}
    assert set(figures["mage_pipeline"]["steps"]) == {
        *("download_trips", "clean_trips", "trips_to_parquet", "trips_to_postgres")
    }
    assert {target["verdict"] for target in written["targets"]} <= {"met", "not met"}
    assert written["history"]["hours"] > 0


def test_a_contender_that_loads_less_is_refused():
    place: Any = SimpleNamespace(rows=lambda _table: 1999)
    prepared: Any = None
    with pytest.raises(Failed, match="rows in Postgres: 1,999 instead of 2,000"):
        loaded_all(Trial(GeneratedMonth(2000), prepared, place))
