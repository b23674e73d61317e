"""Steps are limited in time and money, and everything is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nyc_taxi.lake.folder_store import FolderStore
from nyc_taxi.settings import PROJECT
from tests.e2e.cloud.__main__ import deleted_in_the_end, main
from tests.e2e.cloud.google import TESTS, summary_of
from tests.e2e.cloud.months import Months
from tests.e2e.cloud.steps import StepFailed, Steps


def fails() -> str:
    raise StepFailed("this | that")


def test_a_report_has_a_row_for_each_step(tmp_path: Path):
    steps = Steps("A test")
    assert steps.take("first", lambda: "seen\nin two lines")
    assert not steps.take("second", fails)
    assert steps.finish({"Bucket": "b"}, tmp_path / "new" / "report.md") == 1
    lines = (tmp_path / "new" / "report.md").read_text().splitlines()
    assert lines[:3] == ["# A test", "", "- Bucket: b"]
    assert "- Passed: 1 of 2 steps" in lines
    assert lines[-2:] == [
        "| first | passed | 0.0 | seen in two lines |",
        r"| second | failed | 0.0 | this \| that |",
    ]


def test_no_step_begins_after_a_limit_but_the_deletion():
    late, costly = Steps("A test", seconds=0), Steps("A test", dollars=1.5, spent=lambda: 1.6)
    for steps, reason in ((late, "0 s are over"), (costly, "more than $1.50 are spent")):
        with deleted_in_the_end(steps) as stack:
            stack.callback(lambda: None)
            steps.take("a step", fails)
        assert [outcome.result for outcome in steps.outcomes] == ["skipped", "passed"]
        assert steps.outcomes[0].seen == reason


def test_a_command_that_exceeds_the_limit_is_killed(tmp_path: Path):
    months = Months("duckdb", dict(os.environ), FolderStore(tmp_path), tmp_path, left=lambda: 0.01)
    steps = Steps("A test")
    assert not steps.take("a step", lambda: months.taxi("status"))
    assert steps.outcomes[0].seen.endswith("'status'] did not end in time")
    assert [process.returncode for process in months.running] == [-signal.SIGKILL]


def test_without_credentials_the_bucket_is_refused_in_one_sentence(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    report = tmp_path / "report.md"
    assert main(["google", "--project", "my-project", "--report", str(report)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("gs://my-project-taxi-test-")
    assert last.endswith("or run `gcloud auth application-default login`.")
    assert not report.exists()


def test_what_was_created_is_deleted_after_an_interruption():
    deleted, steps = [], Steps("A test")
    try:
        with deleted_in_the_end(steps) as stack:
            stack.callback(deleted.append, "bucket")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert deleted == ["bucket"]


def test_the_tests_that_failed_are_named(tmp_path: Path):
    report = tmp_path / "tests.xml"
    report.write_text('<testsuites><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuites>')
    assert summary_of(report) == "1 passed, 1 skipped"
    report.write_text(
        '<testsuites><testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><error/></testcase></testsuites>'
    )
    steps = Steps("A test")
    assert not steps.take("tests", lambda: summary_of(report))
    assert steps.outcomes[0].seen == "2 of 3 tests failed: b, c"


def test_the_tests_that_run_at_google_exist():
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-q", *TESTS]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_project_is_asked_for(tmp_path: Path, capsys):
    assert main(["google", "--report", str(tmp_path / "report.md")]) == 2
    assert "make cloud-test GCP_PROJECT=my-project" in capsys.readouterr().err
