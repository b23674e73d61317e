"""A folder that one process holds, and that others wait for."""

import logging
import threading
from pathlib import Path

import pytest

from nyc_taxi import files
from tests.support.waiting import until


def test_a_held_folder_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, files.__name__)
    entered = threading.Event()

    def enter() -> None:
        with files.locked(tmp_path):
            entered.set()

    other = threading.Thread(target=enter)
    with files.locked(tmp_path):
        other.start()
        until(lambda: caplog.messages)
        assert caplog.messages == [f"{tmp_path}: another process is fetching this month; waiting for it."]
        assert not entered.wait(0.3)
    assert entered.wait(30)
    other.join()
