"""What a process took."""

import os
import sys

import pytest

from benchmarks.measure import Failed, run


def python(code, tmp_path):
    return run([sys.executable, "-c", code], dict(os.environ), tmp_path / "logs" / "run.log")


def test_steps_are_read_from_what_it_prints(tmp_path):
    measured = python(
        "print('download 0.1 s, clean 12.5 s; 14.0 s in all'); print('trips_to_gcs: 3.25 s [run=1]')",
        tmp_path,
    )
    assert measured.steps == {"download": 0.1, "clean": 12.5, "trips_to_gcs": 3.25}


def test_memory_and_cpu_seconds_are_those_of_the_process_and_its_children(tmp_path):
    child = "import time\nheld = bytearray(b'1') * 600_000_000\nwhile time.process_time() < 0.5: pass"
    measured = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", tmp_path)
    assert measured.memory > 600
    assert measured.cpu >= 0.5


def test_a_process_that_fails_is_told_with_its_last_line(tmp_path):
    with pytest.raises(Failed, match=r"^exit code 1: ValueError: the reason$"):
        python("raise ValueError('the reason')", tmp_path)
