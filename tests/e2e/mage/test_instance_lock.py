"""One Mage a data directory, which ends with the one who started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pytest

from launchers.instance_lock import STARTER_FD, instance_lock
from nyc_taxi.errors import SettingsError
from tests.support.waiting import until

HOLDER = """
import sys, time
from pathlib import Path
from launchers.instance_lock import instance_lock
with instance_lock(Path(sys.argv[1]), 6789):
    print("held", flush=True)
    time.sleep(600)
"""

FAMILY = """
import os, signal, sys, time
from launchers.instance_lock import end_with_starter
end_with_starter()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
os.write(1, f"{os.getpid()}\\n".encode())  # in one piece: both write to the same pipe
time.sleep(600)
"""


def test_a_second_mage_is_refused_with_the_address_of_the_first(tmp_path):
    with (
        instance_lock(tmp_path, 6789),
        pytest.raises(SettingsError) as refused,
        instance_lock(tmp_path, 6790),
    ):
        pass
    assert str(refused.value) == (
        f"Mage is already running on {tmp_path}, at http://127.0.0.1:6789: "
        "use it, stop it, or set MAGE_DATA_DIR to another folder."
    )
    with instance_lock(tmp_path, 6790):
        assert (tmp_path / "ui.lock").read_text() == "6790"


def test_one_that_was_killed_leaves_nothing_locked(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="is already running"), instance_lock(tmp_path, 6790):
            pass
        holder.kill()
    with instance_lock(tmp_path, 6790):
        pass


def test_nothing_goes_on_without_its_starter():
    watched, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY],
        env={**os.environ, STARTER_FD: str(watched)},
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[watched],
        start_new_session=True,
    )
    try:
        family = [psutil.Process(int(process.stdout.readline())) for _ in range(2)]
        os.close(watched)
        os.close(write_end)  # as the system does for a process that was killed
        until(lambda: not any(_is_at_work(each) for each in family))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _is_at_work(process):
    """Whether it runs; one that only waits for its parent to take note of its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
