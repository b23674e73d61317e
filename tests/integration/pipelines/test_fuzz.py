"""A damaged or rewritten file is loaded whole or refused in one sentence: FUZZ_CASES=500 tries more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.settings import PROJECT
from tests.support.fuzz import HANG_SECONDS

CASES = int(os.environ.get("FUZZ_CASES", "40"))
MOST_MEGABYTES = 500


def check(folder: Path, *real: Path) -> None:
    command = [sys.executable, "-m", "tests.support.fuzz", str(folder), "0", str(CASES), *map(str, real)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=HANG_SECONDS * (2 + CASES),
        check=False,
    )
    *cases, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(cases)) == (0, CASES), done.stderr
    for case in cases:
        assert "traceback" not in case, case["traceback"]
        if "refused" in case:
            assert "\n" not in case["refused"].strip()
            assert case["refused"].endswith((".", "?"))
        else:
            assert case["rows_in"] == case["rows_out"]
            assert case["counted"] in (case["rows_in"], None), case
    assert last["megabytes"] < MOST_MEGABYTES


def test_a_damaged_file_is_loaded_whole_or_refused(tmp_path: Path) -> None:
    check(tmp_path)


@pytest.mark.real
def test_a_damaged_real_file_is_loaded_whole_or_refused(tmp_path: Path, real_data: Path) -> None:
    check(tmp_path, real_data)
