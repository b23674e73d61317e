"""What keeps servers to one a folder."""

from __future__ import annotations

import fcntl
import socket
import subprocess
from pathlib import Path

import pytest

from nyc_taxi.local import process


def test_only_one_process_starts_or_stops_a_server(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "on the way"
    assert not process.ever_started(folder)
    with process.locked(folder), (folder / "lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert process.ever_started(folder)
    with process.locked(folder):
        pass


def test_a_server_is_alive_as_long_as_what_it_started(tmp_path: Path) -> None:
    """The lock is the process's own: neither a file nor its starter says so."""
    assert not process.alive(tmp_path)
    with process.life(tmp_path) as inherited:
        server = subprocess.Popen(["sleep", "60"], pass_fds=[inherited])
    assert process.alive(tmp_path)
    server.kill()
    server.wait()
    assert not process.alive(tmp_path)


def test_the_port_of_the_last_start_is_taken_again_when_it_is_free() -> None:
    port = process.free_port()
    assert port in process.PORTS
    assert process.free_port(port) == port
    with socket.create_server((process.HOST, port)):
        assert process.free_port(port) != port
