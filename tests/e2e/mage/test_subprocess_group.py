import contextlib
import os
import signal
import sys

import psutil
import pytest

from launchers.subprocess_group import Stopped, reason, subprocess_group
from tests.support.waiting import until

FAMILY = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as deaf as a scheduler at work
os.write(int(sys.argv[1]), b"%d\\n" % os.getpid())
time.sleep(600)
"""


@contextlib.contextmanager
def family(log):
    """A child and its own child, in a block of `child`; their pids, once both run."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as pids, os.fdopen(writing, "w") as end:
        command = [sys.executable, "-c", FAMILY, str(writing)]
        with subprocess_group(command, log, dict(os.environ), pass_fds=[writing]):
            end.close()  # so that reading ends, however long it takes, when both write or one has died
            yield [int(pids.readline()) for _ in range(2)]


def is_alive(pid):
    """Whether it runs; one that only waits for its parent to take note of its end does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_end(pids):
    """Whether they end: a process that was killed does as soon as the kernel comes to it."""
    until(lambda: not any(is_alive(pid) for pid in pids))
    return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("launchers.subprocess_group.GRACE", 0.2)


def test_no_process_outlives_the_block(tmp_path):
    with family(tmp_path / "logs" / "log") as pids:
        assert all(is_alive(pid) for pid in pids)
    assert all_end(pids)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_child_and_names_the_exit_code(tmp_path, signum):
    before = signal.getsignal(signum)
    started = []

    def run_and_interrupt():
        with family(tmp_path / "log") as pids:
            started.extend(pids)
            os.kill(os.getpid(), signum)
            signal.pause()

    with pytest.raises(Stopped) as stopped:
        run_and_interrupt()
    assert stopped.value.code == 128 + signum
    assert all_end(started)
    assert signal.getsignal(signum) is before


def test_exit_code_and_output_of_a_child_that_ends_by_itself(tmp_path):
    log = tmp_path / "log"
    with subprocess_group([sys.executable, "-c", "print(1/0)"], log, dict(os.environ)) as process:
        assert process.wait() == 1
    assert reason(log) == "division by zero"


def test_reason_of_a_failed_test_is_the_tests_own(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "Traceback (most recent call last):\n"
        "  assert a == b\n"
        "AssertionError: 10 rows came in, 9 went out.\n"
        "0/1 tests passed.\n"
        "Exception: Failed to pass tests for block clean_trips\n"
    )
    assert reason(log) == "10 rows came in, 9 went out."
    log.write_text("nyc_taxi.errors.SettingsError: month 'x' is not a month.\nINFO: done\n")
    assert reason(log) == "month 'x' is not a month."
    log.write_text("all is well\n")
    assert reason(log) is None


def test_reason_is_not_what_was_being_handled_meanwhile(tmp_path):
    log = tmp_path / "log"
    handled = (
        "Traceback (most recent call last):\n"
        "RuntimeError: no running event loop\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n"
    )
    trace = "Traceback (most recent call last):\n"
    log.write_text(
        f"{handled}{trace}AssertionError: 10 rows came in, 9 went out.\n"
        f"0/1 tests passed.\n"
        f"{handled}{trace}Exception: Failed to pass tests for block clean_trips\n"
    )
    assert reason(log) == "10 rows came in, 9 went out."
    log.write_text(f"{handled}{trace}nyc_taxi.errors.NotPublished: green 2020-04 does not exist.\n")
    assert reason(log) == "green 2020-04 does not exist."
    log.write_text(
        f"{trace}KeyError: 'month'\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        f"{trace}nyc_taxi.errors.SchemaError: the file has no month.\n"
    )
    assert reason(log) == "the file has no month."
