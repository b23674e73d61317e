"""Processes of a local Airflow end with the process that started them, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from launchers.instance_lock import instance_lock
from launchers.leash import leash
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.settings import PROJECT
from tests.support.waiting import until

STARTER = """
import signal, subprocess, sys, time
from pathlib import Path
from launchers.leash import leash
from launchers.instance_lock import instance_lock

STUBBORN = '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
'''
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
with instance_lock(Path(sys.argv[1]), 1) as lock, leash() as hold:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        start_new_session=True,
        pass_fds=[lock],
        stdout=subprocess.PIPE,
    )
    hold(process.pid)
    process.stdout.readline()
    print("started", flush=True)
    time.sleep(600)
"""


def is_free(folder: Path) -> bool:
    try:
        with instance_lock(folder, 1):
            return True
    except SettingsError:
        return False


def test_a_killed_starter_leaves_no_process_that_holds_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"started\n"
        assert not is_free(tmp_path)
        starter.kill()
    until(lambda: is_free(tmp_path), seconds=30)


def test_processes_outlive_a_leash_that_lets_them_go() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        with leash() as hold:
            hold(process.pid)
        assert process.poll() is None
        process.communicate(b"\n")
    assert process.returncode == 0


def test_a_leash_that_was_killed_says_so() -> None:
    before = psutil.Process().children()  # servers of other tests may live as long as this process
    with leash() as hold:
        (watcher,) = set(psutil.Process().children()) - set(before)
        watcher.kill()
        os.waitid(os.P_PID, watcher.pid, os.WEXITED | os.WNOWAIT)  # its pipe is closed
        with pytest.raises(TaxiError, match="was killed: start Airflow again"):
            hold(watcher.pid)
